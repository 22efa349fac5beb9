"""Sets the learning rate of one network at every step."""

from __future__ import annotations

import torch

from cifar_exp.components.schedules import Schedule

INITIAL = "initial_lr"
"""The learning rate of a parameter group before any schedule, which checkpoints keep."""


class LearningRate:
    """The learning rate of each parameter group: its own initial one times the step's factor.

    Args:
        optimizer: The optimizer; its groups keep their initial rates.
        schedule: The schedule.
        steps_per_epoch: Number of steps in each epoch.
        epochs: Number of epochs.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        steps_per_epoch: int,
        epochs: int,
    ) -> None:
        self._groups = optimizer.param_groups if schedule.changes else []
        self._schedule = schedule
        self._steps = steps_per_epoch
        self._epochs = epochs
        self._factors: list[float] = []
        for group in self._groups:
            group.setdefault(INITIAL, group["lr"])

    def begin(self, epoch: int) -> None:
        """Compute the factors of an epoch, counted from 1."""
        if self._groups:
            last = epoch * self._steps
            factors = self._schedule.factors(last - self._steps, last, self._epochs * self._steps)
            self._factors = factors.tolist()

    def set(self, step: int) -> None:
        """Set the learning rates of a step of the epoch, counted from 0."""
        for group in self._groups:
            group["lr"] = group[INITIAL] * self._factors[step]
