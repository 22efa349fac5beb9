"""What a sweep tells while it runs, for whoever shows progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cifar_exp.records import TrialState

TrainingKind = Literal["trial", "confirmation"]
WORDS: dict[TrainingKind, str] = {"trial": "trial", "confirmation": "seed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One training of a combination begins, has finished an epoch or, with a `state`, has ended.

    `epoch` is the last finished one, so 0 at the beginning. A training that an earlier execution
    has finished is told of by one event with `kept` set.
    """

    combination: str
    kind: TrainingKind
    number: int
    """Trials count from 0, confirmations from 1."""
    epoch: int
    epochs: int
    val_accuracy: float | None = None
    state: TrialState | None = None
    diverged: bool = False
    reason: str | None = None
    """Why a training failed."""
    kept: bool = False

    @property
    def training(self) -> str:
        """Its name within the combination, such as `trial 3` or `seed 2`."""
        return f"{WORDS[self.kind]} {self.number}"


Watch = Callable[[Event], None]
