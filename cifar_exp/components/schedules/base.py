"""Base classes of schedules: warm-up, floor, and which step has which factor."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from cifar_exp.components.settings import Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch


class Schedule(Settings, Component):
    """A schedule and its settings: the factor of the learning rate at every step of a training.

    The factor depends on the number of the step and on the number of all steps only. Of N steps,
    counted from 0, the first W = round(N * warmup) are the warm-up: step k has the factor
    (k + 1) / (W + 1), so no step is lost to a rate of 0. The other steps follow the closed form
    g(x) with x = (k - W) / (N - W): step W has g(0), and the last step is one step before g(1), as
    in torch's schedulers that count total steps.
    """

    warmup: float = Field(
        default=0.0, ge=0, lt=1, description="share of the training in which the rate rises from 0"
    )

    @property
    def changes(self) -> bool:
        """Whether the factor of some step may differ from 1."""
        return True

    def factors(self, first: int, last: int, total: int) -> torch.Tensor:
        """Return the factors of steps as float64, on the CPU.

        Args:
            first: The first of these steps, counted from 0.
            last: The step after the last of them.
            total: The number of all steps of the training.
        """
        # Of all steps, as vectors of other lengths may be rounded differently.
        steps = torch.arange(total, dtype=torch.float64)
        num_warmup = round(total * self.warmup)
        rising = (steps + 1) / (num_warmup + 1)
        after = self._after_warmup((steps - num_warmup).clamp(min=0), max(total - num_warmup, 1))
        return torch.where(steps < num_warmup, rising, after)[first:last]

    @abstractmethod
    def _after_warmup(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        """Return the factors after the warm-up, for steps counted from its end."""

    def _check_with_warmup(self, name: str, share: float) -> None:
        """Check that the warm-up and another part are at most the whole training."""
        if self.warmup + share > 1:
            raise ValueError(f"warmup and {name} are together more than 1, the whole training")

    def _share_after_warmup(self, share: float) -> float:
        """Return a share of the training as a share of what follows the warm-up, at most 1."""
        return min(1.0, share / (1 - self.warmup))


class DecayingSchedule(Schedule):
    """A schedule whose closed form falls from 1 to `floor` instead of 0.

    The factor is floor + (1 - floor) * g(x).
    """

    floor: float = Field(
        default=0.0, ge=0, le=1, description="share of the learning rate that replaces 0"
    )

    def _after_warmup(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        return self.floor + (1 - self.floor) * self._form(steps, total)

    @abstractmethod
    def _form(self, steps: torch.Tensor, total: int) -> torch.Tensor:
        """Return g of steps / total, before the floor."""
