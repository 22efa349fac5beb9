"""Images as they were published, and their writing into the cache."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_exp.components.datasets.source import Contents
from cifar_exp.components.datasets.split import published_order
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import Allocate, Progress

    Batches = Iterable[tuple[NDArray[np.int64], NDArray[np.uint8]]]
    """Rows and their images: n, and n x H x W x 3 or n x H x W if they are grey."""

CHANNELS = 3
ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Images as published: rows of training images, then of validation, then of test images.

    Attributes:
        classes: The name of each class.
        labels: int64, N.
        counts: The number of training, validation and test images; the second is 0 if there is
            no published validation split.
        size: Height and width of the images.
        batches: The images; every row is in one batch.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    counts: tuple[int, int, int]
    size: int
    batches: Batches


def store(
    published: Published, validation: float, allocate: Allocate, progress: Progress
) -> Contents:
    """Write published images in the order of the cache; grey ones get three equal channels.

    Args:
        published: The images.
        validation: The share of the training images that is held out for validation, by class,
            if there is no published validation split.
        allocate: Creates the array.
        progress: Called with the progress.

    Raises:
        DataError: A class has fewer than two training images.
    """
    labels, total = published.labels, len(published.labels)
    order = published_order(labels, published.counts, published.classes, validation)
    images = allocate(total, published.size, CHANNELS)
    stored, done = np.argsort(order.rows), 0
    for rows, batch in published.batches:
        images[stored[rows]] = batch if batch.ndim == images.ndim else batch[..., None]
        done += len(rows)
        progress("writing images", done, total)
    return Contents(classes=published.classes, labels=labels[order.rows], counts=order.counts)


def batches_of(
    arrays: Sequence[NDArray[np.uint8]],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield the rows of several arrays of images, one after the other, in batches."""
    start = 0
    for array in arrays:
        for first in range(0, len(array), ROWS_AT_ONCE):
            batch = array[first : first + ROWS_AT_ONCE]
            yield np.arange(start, start + len(batch)), batch
            start += len(batch)
