"""Sensitivity to the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

EDGE = 0.1  # fraction of a range's length on a log scale that counts as its edge, at either end


def edge_of_range(value: float, low: float, high: float) -> Literal["low", "high"] | None:
    """Return the edge of its range at which a value lies, on a log scale; None if at neither.

    If the best value lies at an edge, better values may lie outside.
    """
    position = math.log(value / low) / math.log(high / low)
    if position < EDGE:
        return "low"
    return "high" if position > 1 - EDGE else None


def accuracy_lost(
    rates: Sequence[float], accuracies: Sequence[float], factor: float
) -> float | None:
    """Return the accuracy lost at `factor` times the learning rate of the best trial.

    The accuracy is interpolated linearly in the logarithm of the rate; trials with the same rate
    are averaged.

    Args:
        rates: Learning rates of complete trials.
        accuracies: Their accuracies.
        factor: The factor, for example 3 or 1/3.

    Returns:
        The difference; None if the rate is outside the range of the trials.
    """
    if not rates:
        return None
    best = int(np.argmax(accuracies))
    knots, indices = np.unique(np.log(rates), return_inverse=True)
    means = np.bincount(indices, weights=accuracies) / np.bincount(indices)
    target = math.log(rates[best] * factor)
    if not knots[0] <= target <= knots[-1]:
        return None
    return float(accuracies[best] - np.interp(target, knots, means))
