"""The schedules of several networks: one factor of the learning rate for each network and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cifar_exp.components.schedules import Schedule


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Factors:
    """The factors of the networks at a step and at the one before, float64, one per network."""

    now: torch.Tensor
    before: torch.Tensor
    """At the first step of a training the same as `now`."""


class StackedSchedule:
    """The factors of an epoch, read at a step that is counted on the device.

    So a captured CUDA graph reads another factor each time that it is replayed.

    Args:
        schedules: The schedule of each network.
        steps_per_epoch: Number of steps in each epoch.
        epochs: Number of epochs.
        device: Where the factors are.
    """

    def __init__(
        self,
        schedules: Sequence[Schedule],
        steps_per_epoch: int,
        epochs: int,
        device: torch.device,
    ) -> None:
        self._schedules = schedules if any(schedule.changes for schedule in schedules) else ()
        self._steps = steps_per_epoch
        self._epochs = epochs
        shape = (steps_per_epoch + 1, len(schedules))
        self._table = torch.ones(shape, dtype=torch.float64, device=device)
        """Of the step before the epoch, and of each of its steps."""
        self._step = torch.zeros(1, dtype=torch.int64, device=device)

    def begin(self, epoch: int) -> None:
        """Compute the factors of an epoch, counted from 1."""
        if not self._schedules:
            return
        first, total = (epoch - 1) * self._steps, self._epochs * self._steps
        of_epoch = [s.factors(first, first + self._steps, total) for s in self._schedules]
        before = [s.factors(max(first - 1, 0), max(first, 1), total) for s in self._schedules]
        self._table.copy_(torch.cat([torch.stack(before), torch.stack(of_epoch)], dim=1).mT)
        self._step.zero_()

    def next(self) -> Factors | None:
        """Return the factors of the next step; None if no schedule changes the learning rate."""
        if not self._schedules:
            return None
        before = self._table.index_select(0, self._step)
        # At most the last one: before a capture some steps are run, perhaps more than an epoch has.
        self._step.add_(1).clamp_(max=self._steps)
        now = self._table.index_select(0, self._step)
        return Factors(now=now.squeeze(0), before=before.squeeze(0))

    def tensors(self) -> list[torch.Tensor]:
        """Return the tensors that a step changes."""
        return [self._step]
