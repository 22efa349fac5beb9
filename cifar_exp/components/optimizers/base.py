"""Base classes of optimizers: parameter groups, weight decay and common settings."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from cifar_exp.components.settings import Settings
from cifar_exp.components.table import Component

if TYPE_CHECKING:
    import torch

Group = dict[str, Any]

Beta1 = Annotated[float, Field(ge=0, lt=1, description="decay rate of the mean gradient")]
Beta2 = Annotated[float, Field(ge=0, lt=1, description="decay rate of the mean squared gradient")]
Momentum = Annotated[float, Field(ge=0, lt=1, description="momentum factor")]
Epsilon = Annotated[float, Field(gt=0, description="added to denominators to avoid division by 0")]
CoupledDecay = Annotated[float, Field(ge=0, description="L2 penalty, added to the gradient")]
DecoupledDecay = Annotated[
    float, Field(ge=0, description="each step also multiplies the weights by 1 - lr * weight_decay")
]
DecoupledChoice = Annotated[
    bool, Field(description="whether weight decay is decoupled from the gradient")
]


class Optimizer(Settings, Component):
    """An optimizer and its settings, without the learning rate."""

    def build(self, model: torch.nn.Module, lr: float) -> torch.optim.Optimizer:
        """Return the torch optimizer of the model's trainable parameters, with learning rate lr."""
        return self._make(self._groups([p for p in model.parameters() if p.requires_grad]), lr)

    def _groups(self, parameters: list[torch.nn.Parameter]) -> list[Group]:
        return [{"params": parameters}]

    @abstractmethod
    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        """Return the torch optimizer of these parameter groups."""


class DecayingOptimizer(Optimizer):
    """An optimizer with weight decay, which is set in the parameter groups."""

    weight_decay: CoupledDecay = 0.0
    decay_bias: bool = Field(
        default=True,
        description="whether biases and normalisation (at most one dimension) have weight decay",
    )

    def _groups(self, parameters: list[torch.nn.Parameter]) -> list[Group]:
        not_decayed = [p for p in parameters if p.ndim <= 1 and not self.decay_bias]
        decayed = [p for p in parameters if p.ndim > 1 or self.decay_bias]
        groups: list[Group] = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": not_decayed, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]
