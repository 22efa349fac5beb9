"""Progress events of a sweep: of its trainings, and notices such as on more replicates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cifar_exp.records import TrialState

TrainingKind = Literal["trial", "confirmation"]
WORDS: dict[TrainingKind, str] = {"trial": "trial", "confirmation": "seed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A training has started, has finished an epoch or, if `state` is set, has ended.

    `epoch` is the last finished epoch, so 0 at the start. A training that an earlier execution
    finished has one event, with `kept` set.
    """

    study: str
    """The label of the study: its combination, and its number unless it is the first."""
    kind: TrainingKind
    number: int
    """Trials count from 0, confirmations from 1."""
    epoch: int
    epochs: int
    group: str | None = None
    """At the start: the name of the group that the training is in."""
    together: int = 1
    """At the start: the number of trainings in the group."""
    images_per_second: float | None = None
    """Training speed in an epoch, of all networks of the group together."""
    val_accuracy: float | None = None
    state: TrialState | None = None
    diverged: bool = False
    reason: str | None = None
    """Why a training failed."""
    kept: bool = False

    @property
    def training(self) -> str:
        """Name of the training within its study, such as `trial 3` or `seed 2`."""
        return f"{WORDS[self.kind]} {self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What the user should know during a sweep, such as which combinations get more replicates."""

    sentence: str
    more: int = 0
    """Trainings that are added."""


Watch = Callable[[Event | Notice], None]
