"""Starter definitions: written for a folder of images or a data set, and accepted by `plan`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_exp.components import datasets
from cifar_exp.components.datasets import DATASETS, Digits
from cifar_exp.experiment import Experiment, load
from cifar_exp.experiment.starter import Machine, batch_sizes
from tests.command import Cli

Sizes = Mapping[str, list[tuple[int, int]]]
"""Width and height of each image by the folder that it is in."""
UGLY = 'a "b" \\ c\'d é 写真'
CPU = Machine(cores=2, has_gpu=False)


def write(root: Path, images: Sizes) -> Path:
    """Write images of noise."""
    rng = np.random.default_rng(0)
    for folder, sizes in images.items():
        (root / folder).mkdir(parents=True)
        for number, (width, height) in enumerate(sizes):
            noise = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(noise).save(root / folder / f"{number}.png")
    return root


@pytest.fixture(autouse=True)
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifar_exp.cli.init._machine", lambda: CPU)


SPLIT = {f"{split}/{name}": [(8, 8)] * 12 for split in ("train", "test") for name in "ab"}
UNSPLIT = {"ant": [(80, 60)] * 20, "bee": [(70, 90)] * 9}
SHAPES: dict[str, Sizes] = {
    "train and test": SPLIT,
    "classes only": UNSPLIT,
    "few images": {"a": [(40, 40)] * 3, "b": [(40, 40)] * 3},
    "small square": {"a": [(28, 28)] * 30, "b": [(28, 28)] * 30},
    "a class named train": {"train": [(33, 32)] * 6, "plane": [(32, 32)] * 6},
    "ugly names": {f"{UGLY} {n}": [(50, 40)] * 5 for n in (1, 2)},
}


def written(cli: Cli, *words: object) -> Experiment:
    shown = cli("init", "mine.toml", *words)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "written: mine.toml",
        "next: cifar-exp plan mine.toml",
        "next: cifar-exp run mine.toml",
    ]
    return load(Path("mine.toml"))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_data_of_a_folder_fit_the_definition(cli: Cli, here: Path, shape: Sizes) -> None:
    write(here / "photos", shape)
    experiment = written(cli, "--data-dir", "photos")
    data = datasets.load(experiment.dataset.choice)
    assert len(data.train) >= max(experiment.search.batch_size)
    assert f"for {len(data.train)} training images" in Path("mine.toml").read_text()
    assert len(experiment.combinations()) == 6


def test_plan_accepts_it(cli: Cli, here: Path) -> None:
    folder = write(here / UGLY, {"ant": [(80, 60)] * 20, "bee": [(70, 90)] * 9})
    shown = cli("init", "--data-dir", folder)
    assert shown.code == 0, shown.err
    [file] = here.glob("*.toml")
    assert shown.out.splitlines()[1] == shlex.join(["next:", "cifar-exp", "plan", file.name])
    planned = cli("plan", file.name, "--workers", 1, "-o", "epochs=1")
    assert planned.code == 0, planned.err
    assert "trials: 36, confirmations: 18" in planned.out


def test_the_comments_say_what_was_read(cli: Cli, here: Path) -> None:
    write(here / "photos", UNSPLIT)
    experiment = written(cli, "--data-dir", "photos")
    text = Path("mine.toml").read_text()
    for line in (
        "# 2 classes, with training images: ant 20, bee 9.",
        "# The images have 80 x 60 to 70 x 90 pixels; the most frequent size is 80 x 60 (69%).",
        "# Without train/ and test/, 20% of each class are drawn for testing.",
    ):
        assert line in text.splitlines()
    # The shorter sides are 60 and 70, and 48 is the largest usual size below their median.
    settings = experiment.dataset.choice.model_dump()
    assert (settings["size"], settings["holdout"], settings["path"]) == (48, 0.2, Path("photos"))
    assert experiment.name == "mine"


def test_imbalanced_classes_get_a_loss_for_them(cli: Cli, here: Path) -> None:
    write(here / "photos", {"a": [(32, 32)] * 30, "b": [(32, 32)] * 10})
    experiment = written(cli, "--data-dir", "photos")
    assert experiment.losses["balanced"].settings["class_weights"] == "balanced"


@pytest.mark.parametrize("name", sorted(DATASETS.keys() - {"folder"}))
@pytest.mark.usefixtures("here")
def test_every_named_data_set(cli: Cli, name: str) -> None:
    experiment = written(cli, "--dataset", name)
    assert experiment.dataset.type == name
    assert 3 <= experiment.epochs <= 50
    assert DATASETS[name].extent is not None


def test_the_extent_is_that_of_the_data() -> None:
    data = datasets.load(Digits())
    assert Digits.extent == (len(data.train), data.size)


@pytest.mark.usefixtures("here")
def test_the_path_of_a_named_data_set(cli: Cli) -> None:
    experiment = written(cli, "--dataset", "cifar10", "--data-dir", "files")
    assert experiment.dataset.choice.model_dump()["path"] == Path("files")


@pytest.mark.parametrize(
    ("folder", "file"),
    [("my photos!", "my-photos.toml"), ("写真", "images.toml"), ("train", "images.toml")],
)
def test_the_file_has_the_name_of_the_folder(cli: Cli, here: Path, folder: str, file: str) -> None:
    write(here / folder, UNSPLIT)
    assert cli("init", "--data-dir", folder).code == 0
    assert load(Path(file)).name == Path(file).stem


def test_a_file_is_never_overwritten(cli: Cli, here: Path) -> None:
    (here / "mine.toml").write_text("precious")
    shown = cli("init", "mine.toml", "--data-dir", "not-read")
    assert (shown.code, shown.err) == (2, "mine.toml exists; name another file\n")
    assert (here / "mine.toml").read_text() == "precious"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 2, "name a folder of images with --data-dir, or a data set with --dataset"),
        (("--dataset", "digts"), 2, '--dataset: unknown dataset "digts"; did you mean "digits"?'),
        (("--dataset", "folder"), 2, "--data-dir: is missing"),
        (("--dataset", "digits", "--data-dir", "x"), 2, "--data-dir: the data set 'digits' brings"),
        (("no/a.toml", "--data-dir", "none"), 2, "no/a.toml cannot be written: there is no folder"),
        (("a" * 300, "--dataset", "digits"), 2, " cannot be written: File name too long"),
        (("--data-dir", "none"), 3, "Cannot read the folder "),
        (("--data-dir", os.fsdecode(b"\xe9")), 2, "--data-dir: should be a path in UTF-8"),
        (("--data-dir", "empty"), 3, "contains no folders: add one folder of images per class."),
        (("--data-dir", "damaged"), 3, "1.png (not an image of a known format): replace or"),
        (("--data-dir", "single"), 3, "'a' has 1 training image, but at least 2 are needed"),
    ],
)
def test_nothing_is_written_for_wrong_input(
    cli: Cli, here: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    (here / "empty").mkdir()
    write(here / "damaged", UNSPLIT)
    (here / "damaged" / "ant" / "1.png").write_text("no image")
    write(here / "single", {"a": [(32, 32)] * 2, "b": [(32, 32)] * 5})
    shown = cli("init", *words)
    assert shown.code == code
    assert sentence in shown.last
    assert list(here.glob("*.toml")) == []


@pytest.mark.parametrize(
    ("images", "sizes"),
    [
        (1, [1]),
        (39, [4]),
        (160, [4, 8, 16]),
        (1257, [16, 32, 64]),
        (45_000, [64, 128, 256]),
    ],
)
def test_batch_sizes_leave_ten_steps(images: int, sizes: list[int]) -> None:
    assert batch_sizes(images) == sizes
