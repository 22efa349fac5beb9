"""Statistical inference on the ranking: what may be the best, intervals, P(best) and ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cifar_exp.comparison.factors import factors_of, level
from cifar_exp.comparison.method import Method
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.anova import Source, analysis_of_variance
from cifar_exp.comparison.statistics.estimate import Estimates, Floats, estimate, own_spreads
from cifar_exp.comparison.statistics.interval import intervals
from cifar_exp.comparison.statistics.may_be_best import own_estimates, p_may_be_best
from cifar_exp.comparison.statistics.multiple_comparison import differences_to_best
from cifar_exp.comparison.statistics.pairs import LOST, common_seeds, win_shares
from cifar_exp.comparison.statistics.power import (
    minimum_detectable_difference,
    replicates_to_tell,
)
from cifar_exp.comparison.statistics.prior import shrunk_means
from cifar_exp.comparison.statistics.resampling import (
    best_shares,
    draw_means,
    equivalent_shares,
    rank_intervals,
)

RANK_LEVEL = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """The results of the comparison that concern all rows together."""

    compared: int = 0
    """Number of compared combinations: those with a result and no failed seed."""
    spread_pooled: bool | None = None
    spread_p: float | None = None
    minimum_detectable_difference: float | None = None
    two_way: tuple[Source, ...] = ()
    pairwise: tuple[tuple[float | None, ...], ...] = ()
    pairwise_seeds: tuple[tuple[int, ...], ...] = ()


def infer(rows: Sequence[Row], method: Method) -> tuple[list[Row], Inference]:
    """Compare rows in rank order.

    Rows with a failed seed are not compared, as the mean of the remaining seeds is biased; unless
    all rows have one.
    """
    compared = _compared(rows)
    pairs = _pairwise(rows, method)
    if not compared:
        return list(rows), Inference(**pairs)
    sign = -1.0 if method.measure.smaller_is_better else 1.0
    groups = [[sign * value for value in row.values] for row in compared]
    estimates = estimate(groups)
    inferred = iter(_may_be_best(_inferred(compared, estimates, method), groups, method))
    compared_names = {row.combination for row in compared}
    return (
        [next(inferred) if row.combination in compared_names else row for row in rows],
        Inference(
            compared=len(compared),
            spread_pooled=estimates.pooled if estimates.known else None,
            spread_p=estimates.p_equal,
            minimum_detectable_difference=minimum_detectable_difference(estimates, method.alpha),
            two_way=_two_way(compared, estimates, method),
            **pairs,
        ),
    )


def _compared(rows: Sequence[Row]) -> list[Row]:
    scored = [row for row in rows if row.values]
    return [row for row in scored if not row.seeds_failed] or scored


def _inferred(rows: Sequence[Row], estimates: Estimates, method: Method) -> list[Row]:
    """Add intervals and differences to each row; the first row is the best."""
    low, high = intervals(
        own_spreads([row.values for row in rows]), method.alpha, method.measure.bounds
    )
    differences = differences_to_best(estimates, 0, method.alpha)
    largest = method.measure.range
    rope = method.rope / 100
    within = (-rope <= differences.low) & (differences.high <= rope)
    inferred = [
        replace(
            row,
            interval_low=_finite(low[k]),
            interval_high=_finite(high[k]),
            difference_to_best=float(differences.values[k]),
            difference_low=_finite(max(differences.low[k], -largest)),
            difference_high=_finite(min(differences.high[k], largest)),
            p_adjusted=_finite(differences.p_adjusted[k]),
            in_best_group=not differences.worse[k],
            equivalent=bool(within[k]) if estimates.known else None,
        )
        for k, row in enumerate(rows)
    ]
    return _simulated(inferred, estimates, rope) if estimates.known else inferred


def _may_be_best(
    rows: Sequence[Row], groups: Sequence[Sequence[float]], method: Method
) -> list[Row]:
    """Add whether each row may be the best, given its values with the larger as the better."""
    estimates = own_estimates(groups, _num_examples(rows, method))
    p_values = map(_finite, p_may_be_best(estimates))
    return [
        replace(row, p_may_be_best=p, may_be_best=None if p is None else p > method.alpha)
        for row, p in zip(rows, p_values, strict=True)
    ]


def replicates_to_decide(rows: Sequence[Row], method: Method) -> int | None:
    """Return how many replicates would probably tell the first of the best from the others.

    The level is divided by the number of compared combinations minus one, as at least one of so
    many differences may be false.

    Args:
        rows: The rows in rank order, with `may_be_best`.
        method: The level and the region of practical equivalence.

    Returns:
        More than the group has now; None if it is too large, or if fewer than two may be the best.
    """
    compared = _compared(rows)
    group = [row for row in compared if row.may_be_best]
    if len(group) < 2:
        return None
    sign = -1.0 if method.measure.smaller_is_better else 1.0
    values = [[sign * value for value in row.values] for row in group]
    estimates = own_estimates(values, _num_examples(group, method))
    differences, variances = estimates.means[0] - estimates.means, estimates.variances
    needed = [
        replicates_to_tell(
            float(difference), (variances[0], variance), method.alpha / (len(compared) - 1)
        )
        for difference, variance in zip(differences[1:], variances[1:], strict=True)
        if difference > method.rope / 100
    ]
    known = [number for number in needed if number is not None]
    if not needed or len(known) < len(needed):
        return None
    return max(*known, 1 + max(len(of_row) for of_row in values))


def _num_examples(rows: Sequence[Row], method: Method) -> int | None:
    """Return the number of test images, the smallest if it differs.

    None if a row has none, or if the yardstick is not a fraction of the images.
    """
    if not method.measure.of_examples:
        return None
    known = [row.test_images for row in rows if row.test_images]
    return min(known) if len(known) == len(rows) else None


def _simulated(rows: Sequence[Row], estimates: Estimates, rope: float) -> list[Row]:
    """Add the probabilities and rank intervals from simulated means to each row."""
    draws = draw_means(estimates)
    first = best_shares(shrunk_means(estimates))
    equivalent = equivalent_shares(draws, 0, rope)
    low, high = rank_intervals(estimates, draws, RANK_LEVEL)
    return [
        replace(
            row,
            p_best=float(first[k]),
            p_equivalent=float(equivalent[k]),
            rank_low=int(low[k]),
            rank_high=int(high[k]),
        )
        for k, row in enumerate(rows)
    ]


def _two_way(rows: Sequence[Row], estimates: Estimates, method: Method) -> tuple[Source, ...]:
    repeated = [row for row in rows for _ in row.values]
    return analysis_of_variance(
        [value for row in rows for value in row.values],
        {name: [level(row, name) for row in repeated] for name in factors_of(rows)},
        [replicate for row in rows for replicate in row.value_seeds],
        tuned_once=all(row.studies < 2 for row in rows),
        equal_spreads=estimates.pooled,
        alpha=method.alpha,
    )


def _pairwise(rows: Sequence[Row], method: Method) -> Mapping[str, Any]:
    """Return the fields `pairwise` and `pairwise_seeds`, in the order of the rows."""
    seeds = sorted({seed for row in rows for seed in (*row.value_seeds, *row.lost_seeds)})
    table = np.full((len(rows), len(seeds)), np.nan)
    sign = -1.0 if method.measure.smaller_is_better else 1.0
    for position, row in enumerate(rows):
        for value, seed in zip(row.values, row.value_seeds, strict=True):
            table[position, seeds.index(seed)] = sign * value
        for seed in row.lost_seeds:
            table[position, seeds.index(seed)] = LOST
    return {
        "pairwise": _without_nan(win_shares(table)),
        "pairwise_seeds": tuple(tuple(map(int, line)) for line in common_seeds(table)),
    }


def _without_nan(matrix: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(_finite(value) for value in line) for line in matrix.tolist())


def _finite(value: float) -> float | None:
    """Return a value, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None
