"""How much the choice of the learning rate matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

EDGE = 0.1  # share of a range's length on a log scale that counts as its edge, at either end


def edge_of_range(value: float, low: float, high: float) -> Literal["low", "high"] | None:
    """Say at which edge of its range a value lies, if at one, on a log scale.

    A best value there says that better ones may lie outside.
    """
    position = math.log(value / low) / math.log(high / low)
    if position < EDGE:
        return "low"
    return "high" if position > 1 - EDGE else None


def accuracy_lost(
    rates: Sequence[float], accuracies: Sequence[float], factor: float
) -> float | None:
    """Return what the best of some trials loses at `factor` times its learning rate.

    The accuracy there is interpolated linearly in the logarithm of the rate; trials of the same
    rate count by their mean.

    Args:
        rates: Learning rates of trials that were trained to the end.
        accuracies: Their accuracies.
        factor: Such as 3, or 1/3.

    Returns:
        The difference, or None where no trial has gone that far.
    """
    if not rates:
        return None
    best = int(np.argmax(accuracies))
    knots, places = np.unique(np.log(rates), return_inverse=True)
    means = np.bincount(places, weights=accuracies) / np.bincount(places)
    wanted = math.log(rates[best] * factor)
    if not knots[0] <= wanted <= knots[-1]:
        return None
    return float(accuracies[best] - np.interp(wanted, knots, means))
