"""Splits of images into training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_exp.components.datasets.source import VALIDATION_FRACTION, DataError
from cifar_exp.system.formatting import counted, listed
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

SPLIT_SEED = 20_201_109
"""The seed of every split, the same for all experiments, so that their results are comparable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """The order of images in the cache: train, then val, then test.

    Attributes:
        rows: int64, N; the row in the source of each stored image, ascending within each split.
        counts: The number of images of train, val and test.
    """

    rows: NDArray[np.int64]
    counts: tuple[int, int, int]


def published_order(
    labels: NDArray[np.int64],
    counts: tuple[int, int, int],
    classes: Sequence[str],
    validation: float = VALIDATION_FRACTION,
) -> Order:
    """Keep the published splits; without one for validation, hold out some training images.

    Args:
        labels: int64, N; the labels of the training, the validation and the test images.
        counts: The number of each.
        classes: The name of each class.
        validation: The share of the training images that is held out if there are no
            validation images.

    Raises:
        DataError: A class has fewer than two training images.
    """
    parts = np.repeat(np.arange(3, dtype=np.int8), counts)
    train, val, _ = counts
    if not val:
        parts[:train][held_out(labels[:train], validation, classes)] = 1
    return _order(parts)


def drawn_order(
    labels: NDArray[np.int64], val: float, test: float, classes: Sequence[str]
) -> Order:
    """Draw all three splits from images without an official test split.

    Args:
        labels: int64, N; the labels of all rows.
        val: The fraction of all rows for validation.
        test: The fraction of all rows for testing.
        classes: The name of each class.

    Raises:
        DataError: A class has too few images.
    """
    parts = np.where(held_out(labels, test, classes), 2, 0).astype(np.int8)
    rest = np.flatnonzero(parts == 0)
    parts[rest[held_out(labels[rest], val / (1 - test), classes)]] = 1
    return _order(parts)


def held_out(
    labels: NDArray[np.int64], fraction: float, classes: Sequence[str]
) -> NDArray[np.bool_]:
    """Return a mask of a random fraction of the rows of each class: at least one, never all.

    Raises:
        DataError: A class has fewer than two rows.
    """
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    _check_enough(dict(zip(classes, counts, strict=True)))
    # The raw stream of a NumPy bit generator never changes; that of Generator's methods may.
    keys = np.random.PCG64(SPLIT_SEED).random_raw(len(labels))
    marked = np.zeros(len(labels), np.bool_)
    for label in range(len(classes)):
        rows = np.flatnonzero(labels == label)
        count = min(len(rows) - 1, max(1, round(len(rows) * fraction)))
        marked[rows[np.argsort(keys[rows], kind="stable")[:count]]] = True
    return marked


def _check_enough(counts: Mapping[str, int]) -> None:
    few = {name: count for name, count in counts.items() if count < 2}
    if few:
        found = [f"{name!r} has {counted(count, 'training image')}" for name, count in few.items()]
        raise DataError(
            f"Class {listed(found)}, but at least 2 are needed, one to train on and one to "
            "validate on: add images or remove the class."
        )


def _order(parts: NDArray[np.int8]) -> Order:
    train, val, test = (int(count) for count in np.bincount(parts, minlength=3))
    return Order(rows=np.argsort(parts, kind="stable"), counts=(train, val, test))
