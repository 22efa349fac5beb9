"""What a sweep tells while it runs, for whoever shows progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cifar_exp.record import TrialState


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One training of a combination has finished an epoch or, with a `state`, has ended.

    `training` is its name within the combination, such as `trial 3` or `seed 2`. A training that
    an earlier execution has finished is told of by one event with `kept` set.
    """

    combination: str
    training: str
    epoch: int
    epochs: int
    val_accuracy: float | None
    state: TrialState | None = None
    kept: bool = False


Watch = Callable[[Event], None]
