"""Differences of two combinations on the same replicates and on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """The mean difference of two combinations over common replicates, first minus second."""

    mean: float
    low: float | None
    """The t interval of the mean; None with a single replicate, or without any spread."""
    high: float | None
    p: float | None
    """Two-sided p-value of no difference, for this one pair."""
    size: int
    """Number of common replicates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageDifference:
    """On which of N images two combinations are right, as fractions, means over their seeds."""

    only_first: float
    """Fraction of images on which the first is right and the second wrong."""
    only_second: float
    num_images: int
    p: float | None
    """Exact McNemar test of equal fractions; None with more than one network of either."""


def paired_difference(
    first: Sequence[float], second: Sequence[float], alpha: float, largest: float = math.inf
) -> PairedDifference | None:
    """Return the mean difference d with its t interval; None without common replicates.

    d +- t(1 - alpha / 2, n - 1) s / sqrt(n), where s is the standard deviation of the n
    differences: noise that is common to both combinations on a replicate cancels.

    Args:
        first: Value of each common replicate.
        second: Values of the same replicates.
        alpha: 1 - level of the interval.
        largest: The largest possible difference; the interval ends there.
    """
    if not first:
        return None
    differences = np.subtract(first, second)
    mean, size = float(differences.mean()), len(differences)
    error = float(differences.std(ddof=1)) / size**0.5 if size > 1 else 0.0
    rounding = 1e-12 * max(1.0, float(np.abs([*first, *second]).max()))
    if error <= rounding:
        return PairedDifference(mean=mean, low=None, high=None, p=None, size=size)
    half = float(stats.t.isf(alpha / 2, size - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, size - 1))
    low, high = max(mean - half, -largest), min(mean + half, largest)
    return PairedDifference(mean=mean, low=low, high=high, p=p, size=size)


def image_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> ImageDifference:
    """Return on which images only one of two combinations is right.

    The fraction is the mean over all pairs of networks: the mean over images of h (1 - g), with
    the hit rates h and g of both. With one network each, p is that of the exact McNemar test: the
    images on which exactly one is right are a binomial sample with p = 1/2. It tests these two
    networks, not the combinations. Source: McNemar, Note on the sampling error of the difference
    between correlated proportions or percentages, 1947.

    Args:
        first: S x N, whether the network of a seed is right on an image.
        second: S' x N, of the same images.
    """
    rates: tuple[Floats, Floats] = (first.mean(axis=0), second.mean(axis=0))
    only = [float(np.mean(a * (1 - b))) for a, b in (rates, rates[::-1])]
    return ImageDifference(
        only_first=only[0],
        only_second=only[1],
        num_images=first.shape[1],
        p=_mcnemar(first[0], second[0]) if len(first) == len(second) == 1 else None,
    )


def _mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    wins, losses = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
