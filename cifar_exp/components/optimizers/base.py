"""Base classes of optimizers: parameter groups, weight decay and common settings."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cifar_exp.components.optimizers.stacked import Numbers, StackedStep, State
from cifar_exp.components.settings import Later, Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch

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
    """An optimizer and its settings, without the learning rate.

    There are two forms: the torch optimizer of one network, and `update` for stacked networks that
    are trained together. Both compute the same steps. Without `update`, networks with this
    optimizer are trained one by one.
    """

    schedulable: ClassVar[bool] = True
    """Whether every step depends on the learning rate, so that a schedule has an effect."""

    clip: Annotated[float, Later()] = Field(
        default=0.0,
        ge=0,
        description="largest norm of the gradient of all parameters, which is scaled down to it; "
        "0 for no limit",
    )

    sam: Annotated[float, Later()] = Field(
        default=0.0,
        ge=0,
        description="sharpness-aware minimisation: gradients at weights that are moved by this "
        "length along the gradient; 0 for none",
    )

    @classmethod
    def is_stackable(cls, settings: Mapping[str, Any]) -> bool:
        """Return whether there is a form for stacked networks with these settings, or ranges."""
        return cls.update is not Optimizer.update and not settings.get("sam")

    def to_training(self, optimizer: torch.optim.Optimizer) -> None:
        """Set the weights to those that are trained; only schedule-free optimizers have others."""
        if hasattr(optimizer, "train"):
            optimizer.train()

    def to_evaluation(self, optimizer: torch.optim.Optimizer) -> bool:
        """Set the weights to those that are evaluated; return whether they are others."""
        if not hasattr(optimizer, "eval"):
            return False
        optimizer.eval()
        return True

    def build(self, model: torch.nn.Module, lr: float) -> torch.optim.Optimizer:
        """Return the torch optimizer of the model's trainable parameters, with learning rate lr."""
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = self._make(self._groups(parameters), lr)
        if self.clip > 0:
            optimizer.register_step_pre_hook(lambda *_: self._clip(parameters))
        return optimizer

    def _clip(self, parameters: list[torch.nn.Parameter]) -> None:
        torch.nn.utils.clip_grad_norm_(parameters, self.clip)

    def _groups(self, parameters: list[torch.nn.Parameter]) -> list[Group]:
        return [{"params": parameters}]

    @abstractmethod
    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        """Return the torch optimizer of these parameter groups."""

    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the state tensors that have the shape of the weight and are zero at first."""

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:  # noqa: ARG002
        """Return the state of a stacked weight before the first step.

        Args:
            weight: networks x shape of the parameter.
            numbers: The settings that are numbers, and `lr`.
        """
        return {name: torch.zeros_like(weight) for name in self.slots}

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:  # noqa: ARG002
        """Return what a step needs besides the settings, computed once for all parameters.

        Args:
            numbers: The settings that are numbers, and `lr`.
            count: Which step this is, counted from 1: a float64 tensor without dimensions, so that
                a captured CUDA graph can be replayed with another number.
        """
        return {}

    def update(self, step: StackedStep) -> None:
        """Update one parameter of several networks and its state in place.

        The networks have the same settings as `self`, except for numbers. A number is 0 in all
        networks or in none.
        """
        raise NotImplementedError


class DecayingOptimizer(Optimizer):
    """An optimizer with weight decay, which is set in the parameter groups."""

    weight_decay: CoupledDecay = 0.0
    decay_bias: bool = Field(
        default=True,
        description="whether biases and normalisation (at most one dimension) have weight decay",
    )

    @property
    def decoupled(self) -> bool:
        """Whether weight decay is decoupled from the gradient."""
        return False

    def _groups(self, parameters: list[torch.nn.Parameter]) -> list[Group]:
        not_decayed = [p for p in parameters if p.ndim <= 1 and not self.decay_bias]
        decayed = [p for p in parameters if p.ndim > 1 or self.decay_bias]
        groups: list[Group] = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": not_decayed, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:  # noqa: ARG002
        """Return the factor by which decoupled weight decay shrinks the weights."""
        if self.weight_decay > 0 and self.decoupled:
            return {"shrink": 1 - numbers["lr"] * numbers["weight_decay"]}
        return {}

    def decayed_gradient(self, step: StackedStep) -> torch.Tensor:
        """Apply weight decay, to the weight if it is decoupled, else to the returned gradient."""
        if self.weight_decay == 0 or (step.ndim <= 1 and not self.decay_bias):
            return step.gradient
        if self.decoupled:
            step.weight.mul_(step["shrink"])
            return step.gradient
        return step.gradient + step["weight_decay"] * step.weight
