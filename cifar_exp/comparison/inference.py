"""What can be said of the order of rows: intervals, the best group, P(best), possible ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cifar_exp.comparison.method import Method
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.anova import Source, two_way
from cifar_exp.comparison.statistics.estimate import Estimates, Floats, estimate
from cifar_exp.comparison.statistics.interval import half_widths
from cifar_exp.comparison.statistics.multiple_comparison import differences_to_best
from cifar_exp.comparison.statistics.pairs import win_shares
from cifar_exp.comparison.statistics.power import minimum_detectable_difference
from cifar_exp.comparison.statistics.resampling import (
    best_shares,
    draw_means,
    equivalent_shares,
    rank_intervals,
)

RANK_LEVEL = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """What the comparison of a ranking's rows has found of all of them together."""

    compared: int = 0
    """Number of combinations that are compared: those with a result that lost no seed."""
    spread_pooled: bool | None = None
    spread_p: float | None = None
    minimum_detectable_difference: float | None = None
    two_way: tuple[Source, ...] = ()
    pairwise: tuple[tuple[float | None, ...], ...] = ()


def infer(rows: Sequence[Row], method: Method) -> tuple[list[Row], Inference]:
    """Compare rows that stand in rank order.

    Those that lost a seed are not compared, as the means of what survived are not like the
    others; unless all of them did.
    """
    compared = _compared(rows)
    if not compared:
        return list(rows), Inference(pairwise=_pairwise(rows, method))
    sign = -1.0 if method.measure.smaller_is_better else 1.0
    estimates = estimate([[sign * value for value in row.values] for row in compared])
    told = iter(_told(compared, estimates, method))
    chosen = {row.combination for row in compared}
    return (
        [next(told) if row.combination in chosen else row for row in rows],
        Inference(
            compared=len(compared),
            spread_pooled=estimates.pooled if estimates.known else None,
            spread_p=estimates.p_equal,
            minimum_detectable_difference=minimum_detectable_difference(estimates, method.alpha),
            two_way=_two_way(compared),
            pairwise=_pairwise(rows, method),
        ),
    )


def _compared(rows: Sequence[Row]) -> list[Row]:
    scored = [row for row in rows if row.values]
    return [row for row in scored if not row.seeds_failed] or scored


def _told(rows: Sequence[Row], estimates: Estimates, method: Method) -> list[Row]:
    """Fill in what the comparison says of each row; the first one is the best."""
    widths = half_widths(estimates, method.alpha)
    differences = differences_to_best(estimates, 0, method.alpha)
    rope = method.rope / 100
    within = (-rope <= differences.low) & (differences.high <= rope)
    told = [
        replace(
            row,
            interval_low=_known(row.mean, -widths[k]),
            interval_high=_known(row.mean, widths[k]),
            difference_to_best=float(differences.values[k]),
            difference_low=_known(differences.low[k]),
            difference_high=_known(differences.high[k]),
            p_adjusted=_known(differences.p_adjusted[k]),
            in_best_group=not differences.worse[k],
            equivalent=bool(within[k]) if estimates.known else None,
        )
        for k, row in enumerate(rows)
    ]
    return _drawn(told, estimates, rope) if estimates.known else told


def _drawn(rows: Sequence[Row], estimates: Estimates, rope: float) -> list[Row]:
    """Fill in what drawing the means again and again says of each row."""
    draws = draw_means(estimates)
    first, near = best_shares(draws), equivalent_shares(draws, 0, rope)
    low, high = rank_intervals(estimates, draws, RANK_LEVEL)
    return [
        replace(
            row,
            p_best=float(first[k]),
            p_equivalent=float(near[k]),
            rank_low=int(low[k]),
            rank_high=int(high[k]),
        )
        for k, row in enumerate(rows)
    ]


def _two_way(rows: Sequence[Row]) -> tuple[Source, ...]:
    observed = [
        (value, row.loss, row.optimizer, seed)
        for row in rows
        for value, seed in zip(row.values, row.value_seeds, strict=True)
    ]
    values, losses, optimizers, seeds = zip(*observed, strict=True)
    return two_way(values, losses, optimizers, seeds)


def _pairwise(rows: Sequence[Row], method: Method) -> tuple[tuple[float | None, ...], ...]:
    """Return P(row better than column) on common seeds, for all rows in their order."""
    seeds = sorted({seed for row in rows for seed in row.value_seeds})
    table = np.full((len(rows), len(seeds)), np.nan)
    sign = -1.0 if method.measure.smaller_is_better else 1.0
    for position, row in enumerate(rows):
        for value, seed in zip(row.values, row.value_seeds, strict=True):
            table[position, seeds.index(seed)] = sign * value
    return _without_nan(win_shares(table))


def _without_nan(matrix: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(_known(value) for value in line) for line in matrix.tolist())


def _known(value: float | None, shift: float = 0.0) -> float | None:
    """Return a number, None for what is not known."""
    return None if value is None or not math.isfinite(value + shift) else float(value + shift)
