"""The contract of data sets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_exp.components.datasets import DatasetChoice, data_warnings, load
from cifar_exp.components.datasets.source import Contents, no_progress
from cifar_exp.system.formatting import counted
from cifar_exp.testing.contract import Checks, Result, hold, run, with_settings

SPLITS = ("training", "validation", "test")


def check_dataset(dataset: Any) -> list[Result]:
    """Check the contract of a data set; its images are decoded, twice into memory and once to disk.

    Args:
        dataset: Its name, a `DatasetChoice` with settings, or a function that `@cifar_exp.dataset`
            marks.

    Raises:
        ContractError: Something does not hold.
    """
    component: DatasetChoice = with_settings("datasets", dataset)
    return hold(f"dataset {component.name}", results(component))


def results(dataset: DatasetChoice) -> list[Result]:
    """Return the result of every check of a data set."""
    return run(CHECKS, dataset)


def _read(dataset: DatasetChoice) -> tuple[NDArray[np.uint8], Contents]:
    """Return all images in the stored order, N x H x W x C, and what belongs to them."""
    made: list[NDArray[np.uint8]] = []

    def allocate(rows: int, size: int, channels: int) -> NDArray[np.uint8]:
        made.append(np.zeros((rows, size, size, channels), np.uint8))
        return made[-1]

    with TemporaryDirectory() as folder:
        contents = dataset.source().read(allocate, Path(folder), no_progress)
    assert len(made) == 1, "`allocate` has to be called once"
    return made[0], contents


def _arrays(dataset: DatasetChoice) -> str:
    images, contents = _read(dataset)
    labels = contents.labels
    assert labels.dtype == np.int64, f"labels are {labels.dtype}, not int64"
    assert labels.shape == (len(images),), (
        f"there are {len(labels)} labels for {len(images)} images"
    )
    assert sum(contents.counts) == len(images), f"the splits have {sum(contents.counts)} images"
    assert min(contents.counts) > 0, f"a split is empty: {contents.counts}"
    assert labels.min() >= 0, "a label is negative"
    assert labels.max() < len(contents.classes), "a label has no class name"
    _, size, _, channels = images.shape
    splits = zip(SPLITS, contents.counts, strict=True)
    told = ", ".join(f"{count} {name}" for name, count in splits)
    return f"{told} images of {channels} x {size} x {size}"


def _classes(dataset: DatasetChoice) -> str:
    _, contents = _read(dataset)
    ends = np.cumsum(contents.counts)
    for name, labels in zip(SPLITS, np.split(contents.labels, ends[:-1]), strict=True):
        missing = sorted(set(range(len(contents.classes))) - set(labels.tolist()))
        assert not missing, f"class {contents.classes[missing[0]]!r} has no {name} image"
    return counted(len(contents.classes), "class")


def _repeatable(dataset: DatasetChoice) -> str:
    first, again = (_read(dataset) for _ in range(2))
    assert np.array_equal(first[0], again[0]), "the images differ: give random numbers a seed"
    assert np.array_equal(first[1].labels, again[1].labels), "the labels differ"
    keys = [dataset.source().key for _ in range(2)]
    assert keys[0] == keys[1], "`key` differs"
    return "the same images and labels when read again"


def _apart(dataset: DatasetChoice) -> str:
    images, contents = _read(dataset)
    rows = [image.tobytes() for image in images]
    train, val, _ = contents.counts
    shared = len(set(rows[:train]) & set(rows[train + val :]))
    test = contents.counts[2]
    assert shared < test / 2, f"{counted(shared, 'test image')} are training images, too"
    return f"{counted(shared, 'test image')} that are training images, too"


def _loads(dataset: DatasetChoice) -> str:
    data = load(dataset)
    return "; ".join(data_warnings(data)) or "without a warning"


CHECKS: Checks[DatasetChoice] = {
    "arrays": _arrays,
    "classes": _classes,
    "repeatable": _repeatable,
    "splits": _apart,
    "loads": _loads,
}
