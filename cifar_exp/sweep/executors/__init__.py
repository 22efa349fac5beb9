"""Executors, which provide trainers: processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from cifar_exp.training.messages import Group, Step


@dataclass(frozen=True, slots=True)
class Begun:
    """A trainer has started its group."""


@dataclass(frozen=True, slots=True)
class Death:
    """A trainer has died; `reason` is, for example, `signal 9`."""

    reason: str


Message = Begun | Step | Exception | Death
"""A message of a trainer about its group. An exception means a fault of the machine."""


class Trainer(Protocol):
    """Trains one group at a time."""

    def go_on(self, answers: Mapping[int, bool]) -> None:
        """Continue or stop the trainings of the last step: True continues, keyed by index."""

    def kill(self) -> None:
        """Kill the trainer; it sends no more messages."""


class Executor(Protocol):
    """Provides trainers within its context, and ends all of them at its exit."""

    @property
    def num_free(self) -> int:
        """The number of groups that can start now."""

    def begin(self, group: Group) -> Trainer:
        """Start a group on a free trainer."""

    def messages(self, seconds: float | None) -> Iterator[tuple[Trainer, Message]]:
        """Wait for messages for at most `seconds`, and yield those that have arrived.

        After the last step of a group, and after an exception, its trainer is free again.
        """
