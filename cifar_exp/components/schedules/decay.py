"""Schedules that fall from the start, or stay constant."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from cifar_exp.components.schedules.base import DecayingSchedule, Schedule
from cifar_exp.system.lazy_import import torch


class Constant(Schedule):
    """The learning rate stays the same: g(x) = 1."""

    name: ClassVar[str] = "constant"

    @property
    def changes(self) -> bool:
        """Whether there is a warm-up."""
        return self.warmup > 0

    def _after_warmup(self, steps: torch.Tensor, total: int) -> torch.Tensor:  # noqa: ARG002
        return torch.ones_like(steps)


class Linear(DecayingSchedule):
    """Linear decay: g(x) = 1 - x.

    Source: torch.optim.lr_scheduler.LinearLR from 1 to 0.
    """

    name: ClassVar[str] = "linear"

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return 1 - steps / total


class Cosine(DecayingSchedule):
    """Half a cosine, without restarts: g(x) = (1 + cos(pi x)) / 2.

    Source: Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts, eq. 5.
    """

    name: ClassVar[str] = "cosine"

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return (1 + torch.cos(math.pi * steps / total)) / 2


class Polynomial(DecayingSchedule):
    """Polynomial decay: g(x) = (1 - x)^power.

    Sources: torch.optim.lr_scheduler.PolynomialLR; Chen et al. 2017, DeepLab ("poly").
    """

    name: ClassVar[str] = "polynomial"

    power: float = Field(default=2.0, gt=0, description="exponent; 1 is the linear schedule")

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return (1 - steps / total) ** self.power


class Exponential(DecayingSchedule):
    """Exponential decay: g(x) = end^x.

    Source: torch.optim.lr_scheduler.ExponentialLR, with gamma = end^(1 / steps).
    """

    name: ClassVar[str] = "exponential"

    end: float = Field(default=0.01, gt=0, lt=1, description="g at the end of the training")

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return self.end ** (steps / total)


class Step(DecayingSchedule):
    """Stages of equal length, each with gamma times the rate before: g(x) = gamma^floor(stages x).

    Sources: torch.optim.lr_scheduler.StepLR; He et al. 2016, Deep Residual Learning for Image
    Recognition.
    """

    name: ClassVar[str] = "step"

    stages: int = Field(default=3, ge=1, le=1_000_000, description="number of stages")
    gamma: float = Field(default=0.1, gt=0, le=1, description="factor between two stages")

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return self.gamma ** (steps * self.stages / total).floor()
