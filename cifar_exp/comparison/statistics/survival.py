"""The time that trainings take to reach a target accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A point of a validation curve, at the end of an epoch; `seconds` since the start."""

    epoch: int
    seconds: float
    accuracy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeToTarget:
    """The number of trainings that reached a target, and the median times of all trainings.

    A median is None if fewer than half of the trainings reached the target.
    """

    trainings: int
    reached: int
    median_epochs: float | None
    median_seconds: float | None


def time_to_target(curves: Sequence[Sequence[Point]], target: float) -> TimeToTarget:
    """Return the median epochs and seconds to a target accuracy, from one curve per training."""
    firsts = [next((p for p in curve if p.accuracy >= target), None) for curve in curves]
    reached = [first for first in firsts if first is not None]
    return TimeToTarget(
        trainings=len(curves),
        reached=len(reached),
        median_epochs=median_time([point.epoch for point in reached], len(curves)),
        median_seconds=median_time([point.seconds for point in reached], len(curves)),
    )


def median_time(times: Sequence[float], num_trainings: int) -> float | None:
    """Return the time by which half of all trainings reached a target; None if fewer did.

    A training that ended below the target, or diverged, has not reached it at any time. It is not
    censored, as it did not end by chance.

    Args:
        times: Times of the trainings that reached it.
        num_trainings: Number of all trainings.
    """
    half = (num_trainings + 1) // 2
    return sorted(times)[half - 1] if 0 < half <= len(times) else None
