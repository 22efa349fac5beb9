"""Survival analysis of the time that trainings take to reach a target accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


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
    """Return the median epochs and seconds to a target accuracy, from one curve per training.

    A training that ended below the target is censored at its end. A training without any epoch is
    censored at 0.
    """
    firsts = [next((p for p in curve if p.accuracy >= target), None) for curve in curves]
    reached = [first is not None for first in firsts]
    ends = [first or _end(curve) for first, curve in zip(firsts, curves, strict=True)]
    return TimeToTarget(
        trainings=len(curves),
        reached=sum(reached),
        median_epochs=kaplan_meier_median([end.epoch for end in ends], reached),
        median_seconds=kaplan_meier_median([end.seconds for end in ends], reached),
    )


def kaplan_meier_median(times: Sequence[float], observed: Sequence[bool]) -> float | None:
    """Return the Kaplan-Meier median of event times; None if it is not reached.

    Source: Kaplan and Meier, Nonparametric estimation from incomplete observations, 1958.

    Args:
        times: Time of each event or censoring.
        observed: Whether the event was observed; otherwise the time is censored.
    """
    if not any(observed):
        return None
    known = [time for time, seen in zip(times, observed, strict=True) if seen]
    censored = [time for time, seen in zip(times, observed, strict=True) if not seen]
    survival = stats.ecdf(stats.CensoredData(uncensored=known, right=censored)).sf
    half = (
        float(time)
        for time, probability in zip(survival.quantiles, survival.probabilities, strict=True)
        if probability <= 0.5 + 1e-12
    )
    return next(half, None)


def _end(curve: Sequence[Point]) -> Point:
    return curve[-1] if curve else Point(epoch=0, seconds=0.0, accuracy=0.0)
