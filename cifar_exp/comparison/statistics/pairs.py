"""Pairwise comparison of combinations on common seeds."""

from __future__ import annotations

import numpy as np

from cifar_exp.comparison.statistics.estimate import Floats


def win_shares(values: Floats) -> Floats:
    """Return P(A > B) for every pair: the fraction of common seeds on which A is larger.

    Ties count half.

    Args:
        values: K x seeds, NaN if a combination has no value for a seed.

    Returns:
        K x K, row A and column B; NaN if they have no common seed; 0.5 on the diagonal.
    """
    first, second = values[:, None, :], values[None, :, :]
    common = np.isfinite(first) & np.isfinite(second)
    wins = np.where(common, (first > second) + 0.5 * (first == second), 0).sum(axis=2)
    seeds = common.sum(axis=2)
    return np.asarray(np.divide(wins, seeds, out=np.full(wins.shape, np.nan), where=seeds > 0))
