"""Ranks of the same things in several experiments: do they agree, and which lie apart?

Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, 2006. What is
repeated is the experiment (a data set, a network), not the seed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


def average_ranks(scores: Floats) -> Floats:
    """Rank each line of N x K scores, the highest first; equal scores share their mean rank."""
    return np.asarray(stats.rankdata(-scores, axis=1), dtype=float)


def concordance(ranks: Floats) -> float:
    """Return Kendall's W of N x K ranks: 1 where all lines agree, 0 where they are unrelated.

    Ties are corrected for. NaN where nothing is ranked: one line, one column, or ties alone.
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
    """Return Kendall's tau-b of every two lines of N x K ranks, N x N; NaN where one is flat."""
    lines = range(len(ranks))
    return np.array([[stats.kendalltau(ranks[a], ranks[b])[0] for b in lines] for a in lines])


def p_equal_ranks(ranks: Floats) -> float:
    """Return the p-value of all K columns ranking alike: Friedman's test as an F test.

    F = (N - 1) X / (N (K - 1) - X), X Friedman's chi-squared, with K - 1 and (K - 1)(N - 1)
    degrees of freedom; less cautious than X itself. Source: Iman and Davenport, Approximations of
    the Critical Region of the Friedman Statistic, 1980; Demsar's equation (4). It is never below
    (1 / K!)^(N - 1), the probability that all lines agree by chance.
    """
    num_lines, num_ranked = ranks.shape
    agreement = concordance(ranks)
    if not np.isfinite(agreement):
        return float("nan")
    least = math.exp((1 - num_lines) * math.lgamma(num_ranked + 1))
    if agreement >= 1:
        return least
    ratio = (num_lines - 1) * agreement / (1 - agreement)  # X = N (K - 1) W
    p_value = float(stats.f.sf(ratio, num_ranked - 1, (num_ranked - 1) * (num_lines - 1)))
    return max(p_value, least)


def critical_difference(num_ranked: int, num_lines: int, alpha: float) -> float:
    """Return by how much two mean ranks must differ: Nemenyi's test, all pairs at once.

    CD = q / sqrt(2) * sqrt(K (K + 1) / (6 N)), q the quantile of the studentized range of K with
    infinite degrees of freedom (Demsar's equation (5) and table 5).
    """
    quantile = stats.studentized_range.ppf(1 - alpha, num_ranked, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(num_ranked * (num_ranked + 1) / (6 * num_lines)))


def _tie_sizes(ranks: Floats) -> Floats:
    return np.unique(ranks, return_counts=True)[1].astype(float)
