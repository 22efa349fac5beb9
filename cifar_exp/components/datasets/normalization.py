"""Normalisation constants: mean and standard deviation of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AT_ONCE = 1000
SMALLEST_STD = 1 / 255


def mean_and_std(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and population standard deviation of each channel, in 0..1.

    The standard deviation is at least 1/255, one step of a pixel, so that it can be a divisor.

    Args:
        images: uint8, N x H x W x C.
    """
    # Sums of integers are exact and do not depend on the order.
    total, squares = _sums(images)
    pixels = images.size // images.shape[-1]
    mean = total / pixels
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    return tuple((mean / 255).tolist()), tuple(np.maximum(std / 255, SMALLEST_STD).tolist())


def _sums(images: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    total = np.zeros(images.shape[-1], np.int64)
    squares = np.zeros(images.shape[-1], np.int64)
    for start in range(0, len(images), ROWS_AT_ONCE):
        values = images[start : start + ROWS_AT_ONCE].astype(np.int32)
        total += values.sum(axis=(0, 1, 2), dtype=np.int64)
        squares += (values**2).sum(axis=(0, 1, 2), dtype=np.int64)
    return total, squares
