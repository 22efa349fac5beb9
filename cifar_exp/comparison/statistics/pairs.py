"""How often one combination beats another on the same seed."""

from __future__ import annotations

import numpy as np

from cifar_exp.comparison.statistics.estimate import Floats


def win_shares(values: Floats) -> Floats:
    """Return P(A > B) for every pair: the share of common seeds on which A is larger, ties half.

    Args:
        values: K x seeds, NaN where a combination lacks a seed.

    Returns:
        K x K, row A and column B; NaN where two have no seed in common, 0.5 on the diagonal.
    """
    first, second = values[:, None, :], values[None, :, :]
    common = np.isfinite(first) & np.isfinite(second)
    wins = np.where(common, (first > second) + 0.5 * (first == second), 0).sum(axis=2)
    seeds = common.sum(axis=2)
    return np.asarray(np.divide(wins, seeds, out=np.full(wins.shape, np.nan), where=seeds > 0))
