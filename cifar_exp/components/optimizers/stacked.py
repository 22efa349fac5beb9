"""One optimizer step on a parameter of several networks, each with numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cifar_exp.system.lazy_import import torch

State = dict[str, "torch.Tensor"]
"""The state of an optimizer for one stacked parameter; the first dimension is the network."""

Numbers = Mapping[str, "torch.Tensor"]
"""Numbers by name, one float64 per network: the settings that are numbers, `lr`, and `previous_lr`,
the learning rate of the step before (of the first step at the first)."""


NORM_EPSILON = 1e-6
"""Added to the norm by which torch's clipping divides."""


def clipped(gradients: Numbers, largest: torch.Tensor) -> dict[str, torch.Tensor]:
    """Scale the gradients of each network down to a norm, as `torch.nn.utils.clip_grad_norm_`.

    Args:
        gradients: By the name of the parameter: networks x shape of the parameter.
        largest: The largest norm of each network.
    """
    squares = [gradient.flatten(1).square().sum(1) for gradient in gradients.values()]
    norms = torch.stack(squares).sum(0).sqrt()
    factors = (largest / (norms + NORM_EPSILON)).clamp(max=1).to(norms.dtype)
    return {
        name: gradient * factors.view(-1, *[1] * (gradient.ndim - 1))
        for name, gradient in gradients.items()
    }


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StackedStep:
    """One parameter of several networks, and the numbers of one optimizer step.

    `step[name]` is a number of each network, in a shape and dtype that broadcasts over the weight.
    """

    weight: torch.Tensor
    """networks x shape of the parameter; updated in place."""
    gradient: torch.Tensor
    """In the shape of the weight."""
    state: State
    """Updated in place."""
    numbers: Numbers
    """The settings, `lr` and the coefficients of this step."""
    rounded: Numbers
    """The same as float32."""

    @property
    def ndim(self) -> int:
        """The number of dimensions of the parameter in one network."""
        return self.weight.ndim - 1

    def __getitem__(self, name: str) -> torch.Tensor:
        """Return a number of each network, in a shape that broadcasts over the weight."""
        return self.rounded[name].view(-1, *[1] * self.ndim)

    def column(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return one number per network, in a shape and dtype that broadcasts over the weight."""
        return numbers.to(self.weight.dtype).view(-1, *[1] * self.ndim)

    def subtract(self, direction: torch.Tensor, rate: torch.Tensor) -> None:
        """Subtract `direction` times `rate`, which broadcasts, from the weight."""
        self.weight.addcmul_(direction, rate, value=-1)
