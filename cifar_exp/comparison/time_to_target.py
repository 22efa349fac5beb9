"""How fast each combination's confirmations reach one validation accuracy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.survival import Point, time_to_target

Curve = Sequence[Point]
Curves = Mapping[str, Sequence[Curve]]
"""Of each combination, the validation curves of its confirmations."""


def timed(
    rows: Sequence[Row], curves: Curves, target: float | None = None
) -> tuple[list[Row], float | None]:
    """Fill in the time to a target, and return that target as a share of 1.

    Args:
        rows: The rows of a ranking.
        curves: Their curves; a combination without any is left untimed.
        target: Validation accuracy in %; by default `usual_target`.
    """
    share = usual_target(curves) if target is None else target / 100
    if share is None:
        return list(rows), None
    return [
        replace(row, time_to_target=time_to_target(curves[row.combination], share))
        if curves.get(row.combination)
        else row
        for row in rows
    ], share


def usual_target(curves: Curves) -> float | None:
    """Return the accuracy that the median combination reaches, rounded down to 0.1 points.

    A combination reaches the median over its confirmations of their highest accuracy; of an even
    number of combinations, the lower of the two middle ones counts. So half of them or more get
    there. None where there is no curve.
    """
    reached = [
        statistics.median_low(max((p.accuracy for p in curve), default=0.0) for curve in of_seeds)
        for of_seeds in curves.values()
        if of_seeds
    ]
    # The small number keeps 0.623 from being rounded down to 0.622 for want of its last bit.
    return math.floor(1000 * statistics.median_low(reached) + 1e-9) / 1000 if reached else None
