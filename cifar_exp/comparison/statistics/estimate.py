"""Estimates of the mean and variance of each combination from its seeds.

Combinations with equal variances share one pooled estimate; otherwise each has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

POOLING_LEVEL = 0.1  # high, as pooling unequal variances is worse than not pooling equal ones
NUM_NULL_DRAWS = 10_000
NULL_SEED = 1979


@dataclass(frozen=True, slots=True)
class Estimates:
    """The means of K groups of values, with the variance and degrees of freedom of each.

    `variances` are those of single values, all NaN if the seeds show no spread. `p_equal` is the
    p-value of equal variances, None if it cannot be tested.
    """

    means: Floats
    sizes: Floats
    variances: Floats
    dofs: Floats
    pooled: bool
    p_equal: float | None

    @property
    def known(self) -> bool:
        """Whether the variances are known, so that differences can be tested."""
        return bool(np.isfinite(self.variances).all())

    def standard_errors(self) -> Floats:
        """Return the standard error of the difference of every pair of means, K x K."""
        squares = self.variances / self.sizes
        return np.sqrt(squares[:, None] + squares[None, :])


def estimate(groups: Sequence[Sequence[float]]) -> Estimates:
    """Estimate means and variances of non-empty groups of independent values.

    The variance is pooled unless `equal_spread_p` is below `POOLING_LEVEL`; then `own_spreads`.
    """
    sizes, sums, dof, pooled_variance = _pool(groups)
    p_equal = equal_spread_p(sums, sizes)
    if p_equal is not None and p_equal < POOLING_LEVEL:
        return replace(own_spreads(groups), p_equal=p_equal)
    return Estimates(
        means=np.array([np.mean(group) for group in groups]),
        sizes=sizes,
        variances=np.full(len(groups), pooled_variance),
        dofs=np.full(len(groups), dof),
        pooled=True,
        p_equal=p_equal,
    )


def own_spreads(groups: Sequence[Sequence[float]]) -> Estimates:
    """Estimate the mean and the own variance of each group, whether variances are equal or not.

    A group with a single value or equal values uses the pooled variance with its own degrees of
    freedom.
    """
    sizes, sums, _, pooled_variance = _pool(groups)
    return Estimates(
        means=np.array([np.mean(group) for group in groups]),
        sizes=sizes,
        variances=np.where(sums > 0, sums / np.maximum(sizes - 1, 1), pooled_variance),
        dofs=np.maximum(sizes - 1, 1),
        pooled=False,
        p_equal=None,
    )


def equal_spread_p(sums_of_squares: Floats, sizes: Floats) -> float | None:
    """Test for equal variances: the Breusch-Pagan test with a simulated null distribution.

    The usual chi-squared approximation does not hold for few values per group, so the distribution
    for normal values with equal variances is simulated. Source: Breusch and Pagan, A simple test
    for heteroscedasticity and random coefficient variation, 1979.

    Args:
        sums_of_squares: Sum of squared deviations from the mean of each group.
        sizes: Number of values of each group; groups with one value are ignored.

    Returns:
        The p-value, or None with fewer than two groups to compare or without any spread.
    """
    repeated = sizes > 1
    sums, counts = sums_of_squares[repeated], sizes[repeated]
    if len(sums) < 2 or sums.sum() <= 0:
        return None
    null = _null_statistics(tuple(counts))
    larger = len(null) - np.searchsorted(null, breusch_pagan(sums, counts))
    return float((1 + larger) / (1 + len(null)))


def breusch_pagan(sums_of_squares: Floats, sizes: Floats) -> Floats:
    """Return the Breusch-Pagan statistic, for groups along the last axis."""
    total = sums_of_squares.sum(axis=-1, keepdims=True) / sizes.sum()
    return np.asarray(
        0.5 * np.sum(sizes * (sums_of_squares / sizes / total - 1) ** 2, axis=-1), dtype=float
    )


@lru_cache
def _null_statistics(sizes: tuple[float, ...]) -> Floats:
    """Return simulated statistics of normal values with equal variances, in ascending order."""
    counts = np.array(sizes)
    rng = np.random.default_rng(NULL_SEED)
    sums = rng.chisquare(counts - 1, (NUM_NULL_DRAWS, len(counts)))
    return np.sort(breusch_pagan(sums, counts))


def _pool(groups: Sequence[Sequence[float]]) -> tuple[Floats, Floats, float, float]:
    """Return sizes, sums of squares, all degrees of freedom, and the pooled variance or NaN."""
    sizes = np.array([len(group) for group in groups], dtype=float)
    sums = np.array([sum_of_squares(group) for group in groups])
    dof = float((sizes - 1).sum())
    variance = float(sums.sum()) / dof if dof > 0 and sums.sum() > 0 else np.nan
    return sizes, sums, dof, variance


def sum_of_squares(group: Sequence[float]) -> float:
    """Return the sum of squared deviations; exactly 0 for equal values, despite rounding."""
    if min(group) == max(group):
        return 0.0
    return float(np.sum((np.asarray(group) - np.mean(group)) ** 2))
