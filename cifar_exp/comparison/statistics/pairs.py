"""Pairwise comparison of combinations on common seeds."""

from __future__ import annotations

import numpy as np

from cifar_exp.comparison.statistics.estimate import Floats

LOST = -np.inf
"""The value of a seed on which the training failed: it is worse than every result."""


def win_shares(values: Floats) -> Floats:
    """Return the fraction of common seeds on which A is larger than B, for every pair.

    Ties count half; two lost seeds are a tie.

    Args:
        values: K x seeds; `LOST` if the training failed, NaN if there was none.

    Returns:
        K x K, row A and column B; NaN if they have no common seed; 0.5 on the diagonal.
    """
    first, second = values[:, None, :], values[None, :, :]
    common = ~np.isnan(first) & ~np.isnan(second)
    wins = np.where(common, (first > second) + 0.5 * (first == second), 0).sum(axis=2)
    seeds = common.sum(axis=2)
    return np.asarray(np.divide(wins, seeds, out=np.full(wins.shape, np.nan), where=seeds > 0))


def common_seeds(values: Floats) -> Floats:
    """Return the number of common seeds of every pair, K x K; lost ones are counted."""
    trained = (~np.isnan(values)).astype(float)
    return np.asarray(trained @ trained.T)
