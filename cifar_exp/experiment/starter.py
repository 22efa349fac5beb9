"""A commented definition to start with, for a data set and this machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any

import tomli_w

from cifar_exp.components.datasets.folder import Folder, FolderSource
from cifar_exp.components.datasets.images.left_out import folders_in
from cifar_exp.components.datasets.images.sizes import image_sizes
from cifar_exp.components.datasets.source import DatasetChoice
from cifar_exp.system.formatting import counted, duration, listed, printable

HOLDOUT = 0.2
SIZES = (32, 48, 64, 96, 128, 160, 192, 224)
"""Heights of images that networks are usually trained with, in pixels."""
LARGEST = {"CPU": 64, "GPU": 224}
SAMPLE = 500
"""The number of image files whose size is read."""
TRIALS, SEEDS, COMBINATIONS = 6, 3, 6
SECONDS = 3600.0
"""The time that a first comparison may take."""
SPEED = {"CPU": 1_000.0, "GPU": 100_000.0}
"""Rules of thumb: images/s of seed_cnn_relu, 32 x 32, of a core or a GPU."""
LEAST_EPOCHS, MOST_EPOCHS = 3, 50
IMBALANCE = 3
"""From this ratio of the largest and the smallest class on, losses for imbalance are proposed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What trains."""

    cores: int
    has_gpu: bool

    @property
    def kind(self) -> str:
        """What computes."""
        return "GPU" if self.has_gpu else "CPU"

    def images_per_second(self, size: int) -> float:
        """Return how many images it trains on, by a rule of thumb; `size` is in pixels."""
        return SPEED[self.kind] * (1 if self.has_gpu else self.cores) * (32 / size) ** 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What a starter definition depends on.

    Attributes:
        dataset: The data set as a definition writes it.
        images: Number of training images.
        size: Height and width of the images in pixels, as they are trained on.
        imbalanced: Whether some class has far more images than another.
        notes: What was read, in sentences.
        left_out: Sentences about files that are not read.
    """

    dataset: str | Mapping[str, Any]
    images: int
    size: int
    imbalanced: bool = False
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def of_dataset(choice: DatasetChoice, path: Path | None) -> Start:
    """Return the start of a named data set, whose files may be at a path; nothing is read."""
    extent = choice.extent
    table = choice.name if path is None else {"type": choice.name, "path": str(path)}
    if extent is None:
        return Start(dataset=table, images=10_000, size=32)
    note = f"{extent.images:,} training images, {extent.size} x {extent.size} pixels."
    return Start(dataset=table, images=extent.images, size=extent.size, notes=(note,))


def of_folder(path: Path, machine: Machine) -> Start:
    """Read a folder of images.

    Raises:
        DataError: It is not a folder of images in folders of classes.
        ValidationError: The path cannot be written in a definition.
    """
    holdout = None if folders_in(path.expanduser() / "train") else HOLDOUT
    source = Folder(path=path, holdout=holdout).source()
    paths = [file.path for file in source.files()]
    found = image_sizes(paths[:: math.ceil(len(paths) / SAMPLE)])
    size = _size(found, LARGEST[machine.kind])
    split = {} if holdout is None else {"holdout": holdout}
    counts = {name: len(files) for name, files in source.train.items()}
    train, _, _ = source.order().counts
    return Start(
        dataset={"type": Folder.name, "path": str(path), "size": size, **split},
        images=train,
        size=size,
        imbalanced=max(counts.values()) >= IMBALANCE * min(counts.values()),
        notes=(_described(source), _sizes_described(found), _split_described(source)),
        left_out=source.left_out,
    )


def _size(found: Sequence[tuple[int, int]], largest: int) -> int:
    """Return the size to train with: not above most of the images, and not above `largest`."""
    [(width, height), *others] = Counter(found)
    if not others and width == height and SIZES[0] <= 2 * width <= 2 * largest:
        return width
    shorter = min(median_low([min(sizes) for sizes in found]), largest)
    return max((size for size in SIZES if size <= shorter), default=SIZES[0])


def _described(source: FolderSource) -> str:
    classes = listed(f"{printable(name)} {len(files):,}" for name, files in source.train.items())
    return f"{counted(len(source.classes), 'class')}, with training images: {classes}."


def _sizes_described(found: Sequence[tuple[int, int]]) -> str:
    kinds = Counter(found)
    (width, height), number = kinds.most_common(1)[0]
    if len(kinds) == 1:
        return f"The images have {width} x {height} pixels."
    least, most = min(found, key=math.prod), max(found, key=math.prod)
    return (
        f"The images have {least[0]} x {least[1]} to {most[0]} x {most[1]} pixels; the most "
        f"frequent size is {width} x {height} ({number / len(found):.0%})."
    )


def _split_described(source: FolderSource) -> str:
    if source.holdout is None:
        return "The images in train/ and test/ are used as they are split."
    return f"Without train/ and test/, {source.holdout:.0%} of each class are drawn for testing."


def starter(name: str, start: Start, machine: Machine, file: str) -> str:
    """Return the text of a commented definition.

    Args:
        name: The name of the experiment.
        start: The data.
        machine: What trains.
        file: The name of the file, for the commands in comments.
    """
    trainings = COMBINATIONS * (TRIALS + SEEDS)
    speed = machine.images_per_second(start.size)
    epochs = round(SECONDS * speed / trainings / start.images)
    epochs = min(max(epochs, LEAST_EPOCHS), MOST_EPOCHS)
    time = duration(epochs * start.images * trainings / speed)
    on = "a GPU" if machine.has_gpu else counted(machine.cores, "core")
    notes = [
        *start.notes,
        f"{trainings} trainings: {time} on {on} by a rule of thumb; measured by:",
        f"cifar-exp plan {printable(file)}",
    ]
    return "\n".join(
        [
            *(f"# {note}" for note in notes),
            f"name = {_toml(name)}",
            f"dataset = {_toml(start.dataset)}",
            'model = "seed_cnn_relu"       # a small one; `cifar-exp list models` names others',
            f"epochs = {epochs:<21}# for {start.images:,} training images",
            'augment = "none"              # "flip" mirrors images: for photos, not for letters',
            *_of_search(start.images),
            *_of_losses(imbalanced=start.imbalanced),
            *OPTIMIZERS,
        ]
    )


def _of_search(images: int) -> list[str]:
    sizes = f"batch_size = {batch_sizes(images)}"
    return [
        "",
        "[search]                      # the same for every combination",
        f"trials = {TRIALS:<21}# settings tried for each combination of loss and optimizer",
        "# studies = 5                 # tunes each combination five times: to compare losses or",
        "#                               optimizers in general, and not only these settings",
        'sampler = "qmc"               # with 20 trials or more: "tpe"',
        'pruner = "none"',
        f"{sizes:<30}# by the number of training images",
        "",
        "[confirm]",
        f"seeds = {SEEDS:<22}# the best setting of each is trained again, and tested",
    ]


def batch_sizes(images: int) -> list[int]:
    """Return three batch sizes of at least ten steps per epoch, or one for very few images."""
    sizes = [size for size in (4, 8, 16, 32, 64, 128, 256) if 10 * size <= images]
    return sizes[-3:] or [min(images, 4)]


def _of_losses(*, imbalanced: bool) -> list[str]:
    third = (
        'balanced = { type = "cross_entropy", class_weights = "balanced" }   # classes differ'
        if imbalanced
        else "mse = {}"
    )
    return [
        "",
        "[losses]                      # `cifar-exp list losses` names others",
        "cross_entropy = {}",
        'smoothed = { type = "cross_entropy", label_smoothing = 0.1 }',
        third,
    ]


OPTIMIZERS = (
    "",
    "[optimizers]                  # lr is searched in these ranges; `cifar-exp list optimizers`",
    'momentum = { type = "sgd", momentum = 0.9, nesterov = true, lr = { low = 1e-3, high = 3.0 } }',
    "adamw = { lr = { low = 1e-4, high = 3e-2 } }",
    "",
)


def _toml(value: str | Mapping[str, Any]) -> str:
    """Return a value on one line."""
    if isinstance(value, str):
        return _scalar(value)
    return f"{{ {', '.join(f'{key} = {_scalar(each)}' for key, each in value.items())} }}"


def _scalar(value: Any) -> str:
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")
