"""Schedules of several phases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from cifar_exp.components.schedules.base import DecayingSchedule
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    from typing import Self


class OneCycle(DecayingSchedule):
    """One cycle: half a cosine from `start` up to 1, then one down to 0.

    Momentum stays the same. Sources: Smith and Topin 2018, Super-Convergence;
    torch.optim.lr_scheduler.OneCycleLR, whose div_factor is 1 / start.
    """

    name: ClassVar[str] = "one_cycle"

    rise: float = Field(
        default=0.3, gt=0, lt=1, description="share of the training in which the rate rises"
    )
    start: float = Field(default=0.04, ge=0, le=1, description="g at the first step")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_with_warmup("rise", self.rise)
        return self

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        peak = self._share_after_warmup(self.rise)
        x = steps / total
        up = self.start + (1 - self.start) * (1 - torch.cos(math.pi * x / peak)) / 2
        if peak == 1:
            return up
        down = (1 + torch.cos(math.pi * (x - peak) / (1 - peak))) / 2
        return torch.where(x < peak, up, down)


class WSD(DecayingSchedule):
    """Warm-up, stable, decay: g(x) = 1, at the end linear to 0.

    g(x) = min(1, (1 - x) / d), where d is `decay` as a share of what follows the warm-up. Sources:
    Hu et al. 2024, MiniCPM; Haegele et al. 2024, Scaling Laws and Compute-Optimal Training Beyond
    Fixed Training Durations (linear cooldown over 20 %).
    """

    name: ClassVar[str] = "wsd"

    warmup: float = Field(
        default=0.05, ge=0, lt=1, description="share of the training in which the rate rises from 0"
    )
    decay: float = Field(
        default=0.2, gt=0, le=1, description="share of the training in which the rate falls"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self._check_with_warmup("decay", self.decay)
        return self

    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return ((1 - steps / total) / self._share_after_warmup(self.decay)).clamp(max=1)
