"""Rank statistics across several experiments: agreement and differences of mean ranks.

The repeated unit is the experiment (a data set, a network), not the seed. Source: Demsar,
Statistical Comparisons of Classifiers over Multiple Data Sets, 2006.
"""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

MOST_ORDERS = 20_000
SEED = 1937
ROUNDING = 1e-9


def average_ranks(scores: Floats) -> Floats:
    """Rank each row of N x K scores, the highest first; equal scores have their mean rank."""
    return np.asarray(stats.rankdata(-scores, axis=1), dtype=float)


def concordance(ranks: Floats) -> float:
    """Return Kendall's W of N x K ranks: 1 if all rows agree, 0 if they are unrelated.

    Corrected for ties. NaN with a single row, a single column, or only ties.
    Source: Kendall and Babington Smith, The Problem of m Rankings, 1939.
    """
    num_lines, num_ranked = ranks.shape
    deviations = ranks.sum(axis=0) - ranks.sum() / num_ranked
    ties = sum(float((counts**3 - counts).sum()) for counts in map(_tie_sizes, ranks))
    largest = num_lines**2 * (num_ranked**3 - num_ranked) - num_lines * ties
    if num_lines < 2 or largest <= 0:
        return float("nan")
    return float(12 * (deviations**2).sum() / largest)


def rank_correlations(ranks: Floats) -> Floats:
    """Return Kendall's tau-b of every pair of rows of N x K ranks, N x N; NaN for constant rows."""
    lines = range(len(ranks))
    return np.array([[stats.kendalltau(ranks[a], ranks[b])[0] for b in lines] for a in lines])


def p_equal_ranks(ranks: Floats) -> float:
    """Return the p-value of equal mean ranks of the K columns: Friedman's permutation test.

    If the columns do not differ, all orders of the ranks in a row are equally likely. The p-value
    is the fraction of these orders that agree at least as much (Kendall's W). The approximations by
    chi-squared and F need more rows. Source: Friedman, The use of ranks, 1937.
    """
    if not np.isfinite(concordance(ranks)):
        return float("nan")
    sums, drawn = _permuted_sums(ranks)
    agreeing = np.sum(_squares(sums) >= _squares(ranks.sum(axis=0)) - ROUNDING)
    return float((drawn + agreeing) / (drawn + len(sums)))


def critical_difference(ranks: Floats, alpha: float) -> float:
    """Return the critical difference of two mean ranks, valid for all pairs of the K columns.

    If the columns do not differ, some two mean ranks are more than this apart with probability at
    most `alpha`. Nemenyi's test of all pairs with the permutation distribution of the range of the
    rank sums instead of its limit for many rows. Source: Nemenyi, Distribution-free multiple
    comparisons, 1963.
    """
    sums, _ = _permuted_sums(ranks)
    ranges = np.ptp(sums, axis=1) / len(ranks)
    return float(np.quantile(ranges, 1 - alpha, method="inverted_cdf"))


def _squares(sums: Floats) -> Floats:
    """Return the sum of squares of rank sums, on which alone Kendall's W depends."""
    return np.asarray((sums**2).sum(axis=-1))


def _permuted_sums(ranks: Floats) -> tuple[Floats, int]:
    """Return the rank sums (orders x K) of permuted rows, and 1 if they are drawn, else 0.

    All orders if there are up to `MOST_ORDERS`, with the first row fixed; else random ones.
    """
    num_lines, num_ranked = ranks.shape
    if math.factorial(num_ranked) ** (num_lines - 1) > MOST_ORDERS:
        rng = np.random.default_rng(SEED)
        tiled = np.tile(ranks, (MOST_ORDERS, 1, 1))
        return np.asarray(rng.permuted(tiled, axis=2).sum(axis=1)), 1
    sums = ranks[:1]
    for line in ranks[1:]:
        orders = np.array(list(permutations(line)))
        sums = (sums[:, None, :] + orders).reshape(-1, num_ranked)
    return sums, 0


def _tie_sizes(ranks: Floats) -> Floats:
    return np.unique(ranks, return_counts=True)[1].astype(float)
