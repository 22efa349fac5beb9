"""What gives trainers: processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from cifar_exp.training.trainer import Group, Step


@dataclass(frozen=True, slots=True)
class Begun:
    """A trainer has taken up its group."""


@dataclass(frozen=True, slots=True)
class Death:
    """A trainer has died, such as by `signal 9`."""

    reason: str


Message = Begun | Step | Exception | Death
"""What a trainer tells of its group. An exception is of the machine, not of a training."""


class Trainer(Protocol):
    """Trains one group at a time."""

    def go_on(self, answers: Mapping[int, bool]) -> None:
        """Say which of the trainings of the last step's epochs go on."""

    def kill(self) -> None:
        """End it where it is; it tells no more."""


class Executor(Protocol):
    """Gives trainers for as long as its context lasts, and ends them all with it."""

    @property
    def has_free_trainer(self) -> bool:
        """Whether another group can begin now."""

    def begin(self, group: Group) -> Trainer:
        """Let a trainer train a group."""

    def messages(self, seconds: float | None) -> Iterator[tuple[Trainer, Message]]:
        """Wait for messages, for so long at most, and give those that are there.

        After the last step of a group, and after an exception, its trainer is free again.
        """
