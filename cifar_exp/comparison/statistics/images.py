"""The error of a difference that is due to the choice of the test images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cifar_exp.comparison.statistics.estimate import Floats


def hit_rates(correct: NDArray[np.bool_]) -> Floats:
    """Return the fraction of seeds that classify each image correctly (N).

    Args:
        correct: S x N, whether the network of a seed is right on an image.
    """
    return np.asarray(correct.mean(axis=0), dtype=float)


def image_error(first: Floats, second: Floats) -> float:
    """Return the standard error of a difference of two accuracies on a sample of N images.

    sqrt(sum_i (d_i - mean d)^2 / (N - 1) / N), where d_i is the difference of the hit rates on
    image i: images are paired, so that those on which both agree add nothing. It is an upper
    bound, as d_i also contains the noise of the seeds.

    Args:
        first: Hit rate on each image (N).
        second: Hit rate on each image (N), of the same images.
    """
    differences = first - second
    return float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
