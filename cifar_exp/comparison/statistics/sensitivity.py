"""Sensitivity to the learning rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

Point = tuple[float, float]
"""A learning rate and an accuracy."""
EDGE = 0.1  # fraction of a range's length on a log scale that counts as its edge, at either end
NUM_CLIMBING = 3  # learning rates over which an accuracy rises up to the last one


def edge_of_range(value: float, low: float, high: float) -> Literal["low", "high"] | None:
    """Return the edge of its range at which a value lies, on a log scale; None if at neither.

    If the best value lies at an edge, better values may lie outside.
    """
    position = math.log(value / low) / math.log(high / low)
    if position < EDGE:
        return "low"
    return "high" if position > 1 - EDGE else None


def climbing_end(trials: Sequence[Point], tried: Sequence[float]) -> Literal["low", "high"] | None:
    """Return the end of the tried learning rates up to which the accuracy climbs, if it does.

    The best trial is at that end, and the accuracy rises over the last `NUM_CLIMBING` rates, so
    better values may lie beyond, although the range goes on.

    Args:
        trials: Learning rate and accuracy of the complete trials.
        tried: The learning rates of all trials: a diverged or pruned one at the end was tried too.
    """
    best = max((accuracy for _, accuracy in trials), default=None)
    ends: dict[Literal["low", "high"], int] = {"high": 1, "low": -1}
    for end, sign in ends.items():
        last = sorted(trials, key=lambda point: sign * point[0])[-NUM_CLIMBING:]
        rises = all(sign * a[0] < sign * b[0] and a[1] < b[1] for a, b in itertools.pairwise(last))
        if len(last) < NUM_CLIMBING or not rises or last[-1][1] != best:
            continue
        if sign * last[-1][0] >= max(sign * rate for rate in tried):
            return end
    return None


def accuracy_lost(trials: Sequence[Point], best: Point, factor: float) -> float | None:
    """Return the accuracy lost at `factor` times the best learning rate.

    The accuracy is interpolated in the logarithm of the rate by a curve that is monotone between
    neighbouring trials: straight lines lie below a peak, and overestimate the loss. Trials with the
    same rate are averaged. Source: Fritsch and Carlson, Monotone piecewise cubic interpolation,
    1980.

    Args:
        trials: Learning rate and accuracy of the other complete trials with the same batch size.
        best: The best learning rate, and its accuracy on fresh seeds: that of the best trial is too
            high, as the trial was chosen for it.
        factor: The factor, for example 3 or 1/3.

    Returns:
        The difference; None if the rate is outside the range of the trials.
    """
    rates, accuracies = zip(best, *trials, strict=True)
    knots, indices = np.unique(np.log(rates), return_inverse=True)
    means = np.bincount(indices, weights=accuracies) / np.bincount(indices)
    target = math.log(best[0] * factor)
    if not knots[0] <= target <= knots[-1]:
        return None
    return float(best[1] - PchipInterpolator(knots, means)(target))


def diverged_between(diverged: Sequence[float], best: float, factor: float) -> bool:
    """Return whether a trial diverged between the best learning rate and `factor` times it.

    Args:
        diverged: Learning rates of the diverged trials with the batch size of the best one.
        best: The best learning rate.
        factor: The factor, for example 3 or 1/3.
    """
    low, high = sorted((best, best * factor))
    return any(low <= rate <= high for rate in diverged)
