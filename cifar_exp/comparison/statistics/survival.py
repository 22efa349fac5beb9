"""How long trainings take to reach a target accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Where a training stood at the end of an epoch; `seconds` since its start."""

    epoch: int
    seconds: float
    accuracy: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeToTarget:
    """How many of some trainings reached a target, and the medians over all of them.

    A median is None where fewer than half of the trainings reached the target.
    """

    trainings: int
    reached: int
    median_epochs: float | None
    median_seconds: float | None


def time_to_target(curves: Sequence[Sequence[Point]], target: float) -> TimeToTarget:
    """Measure epochs and seconds to a target accuracy, over one curve a training.

    A training that ended below the target took longer than it lasted: it is censored there, not
    left out. A training without any epoch is censored at 0.
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
    """Return the first time at which half of all have had their event, None if that is not seen.

    Source: Kaplan and Meier, Nonparametric estimation from incomplete observations, 1958.

    Args:
        times: When each had its event, or was last seen without it.
        observed: Whether each had it.
    """
    if not any(observed):
        return None
    known = [time for time, seen in zip(times, observed, strict=True) if seen]
    censored = [time for time, seen in zip(times, observed, strict=True) if not seen]
    survival = stats.ecdf(stats.CensoredData(uncensored=known, right=censored)).sf
    half = (
        float(time)
        for time, share in zip(survival.quantiles, survival.probabilities, strict=True)
        if share <= 0.5 + 1e-12
    )
    return next(half, None)


def _end(curve: Sequence[Point]) -> Point:
    return curve[-1] if curve else Point(epoch=0, seconds=0.0, accuracy=0.0)
