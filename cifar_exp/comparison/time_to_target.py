"""Time to target: how fast the confirmations of each combination reach a validation accuracy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.survival import Point, time_to_target

Curve = Sequence[Point]
Curves = Mapping[str, Sequence[Curve]]
"""The validation curves of the confirmations, by combination."""


def timed(
    rows: Sequence[Row], curves: Curves, target: float | None = None
) -> tuple[list[Row], float | None]:
    """Add the time to target to the rows; return them and the target as a fraction of 1.

    Args:
        rows: The rows of a ranking.
        curves: Their curves; a combination without curves has no time to target.
        target: Validation accuracy in %; default: `usual_target`.
    """
    fraction = usual_target(curves) if target is None else target / 100
    if fraction is None:
        return list(rows), None
    return [
        replace(row, time_to_target=time_to_target(curves[row.combination], fraction))
        if curves.get(row.combination)
        else row
        for row in rows
    ], fraction


def usual_target(curves: Curves) -> float | None:
    """Return the accuracy that the median combination reaches, rounded down to 0.1 points.

    The accuracy of a combination is the median over its confirmations of their highest accuracy.
    Medians of an even number are the lower one, so at least half of the combinations reach the
    target. None if there are no curves.
    """
    reached = [
        statistics.median_low(max((p.accuracy for p in curve), default=0.0) for curve in of_seeds)
        for of_seeds in curves.values()
        if of_seeds
    ]
    # 1e-9 prevents that 0.623 is rounded down to 0.622 by floating-point error.
    return math.floor(1000 * statistics.median_low(reached) + 1e-9) / 1000 if reached else None
