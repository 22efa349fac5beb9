"""One optimizer step on a parameter of several networks, each with numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]
"""The state of an optimizer for one stacked parameter; the first dimension is the network."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StackedStep:
    """One parameter of several networks, and the numbers of one optimizer step."""

    weight: torch.Tensor
    """networks x shape of the parameter; updated in place."""
    gradient: torch.Tensor
    """In the shape of the weight."""
    state: State
    """Updated in place."""
    numbers: Mapping[str, torch.Tensor]
    """The settings that are numbers, and `lr`: one float64 number per network."""
    count: torch.Tensor
    """Which step this is, counted from 1: a float64 tensor without dimensions.

    A tensor, so that a captured CUDA graph can be replayed with another number.
    """

    @property
    def ndim(self) -> int:
        """The number of dimensions of the parameter in one network."""
        return self.weight.ndim - 1

    def __getitem__(self, name: str) -> torch.Tensor:
        """Return the numbers of a setting, in a shape that broadcasts over the weight."""
        return self.column(self.numbers[name])

    def column(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return one number per network, in a shape and dtype that broadcasts over the weight."""
        return numbers.to(self.weight.dtype).view(-1, *[1] * self.ndim)

    def subtract(self, direction: torch.Tensor, rate: torch.Tensor) -> None:
        """Subtract `direction`, times one number per network, from the weight."""
        self.weight.addcmul_(direction, self.column(rate), value=-1)
