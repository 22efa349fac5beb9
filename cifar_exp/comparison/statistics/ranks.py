"""Rank statistics across several experiments: agreement and differences of mean ranks.

The repeated unit is the experiment (a data set, a network), not the seed. Source: Demsar,
Statistical Comparisons of Classifiers over Multiple Data Sets, 2006.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


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
    """Return the p-value of equal mean ranks of the K columns: Friedman's test as an F test.

    F = (N - 1) X / (N (K - 1) - X), where X is Friedman's chi-squared, with K - 1 and
    (K - 1)(N - 1) degrees of freedom; less conservative than X itself. The p-value is never below
    (1 / K!)^(N - 1), the probability that all rows agree by chance. Source: Iman and Davenport,
    Approximations of the Critical Region of the Friedman Statistic, 1980; Demsar's equation (4).
    """
    num_lines, num_ranked = ranks.shape
    agreement = concordance(ranks)
    if not np.isfinite(agreement):
        return float("nan")
    lower_bound = math.exp((1 - num_lines) * math.lgamma(num_ranked + 1))
    if agreement >= 1:
        return lower_bound
    ratio = (num_lines - 1) * agreement / (1 - agreement)  # X = N (K - 1) W
    p_value = float(stats.f.sf(ratio, num_ranked - 1, (num_ranked - 1) * (num_lines - 1)))
    return max(p_value, lower_bound)


def critical_difference(num_ranked: int, num_lines: int, alpha: float) -> float:
    """Return the critical difference of two mean ranks by Nemenyi's test of all pairs.

    CD = q / sqrt(2) * sqrt(K (K + 1) / (6 N)), where q is the quantile of the studentized range of
    K means with infinite degrees of freedom. Source: Demsar's equation (5) and table 5.
    """
    quantile = stats.studentized_range.ppf(1 - alpha, num_ranked, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(num_ranked * (num_ranked + 1) / (6 * num_lines)))


def _tie_sizes(ranks: Floats) -> Floats:
    return np.unique(ranks, return_counts=True)[1].astype(float)
