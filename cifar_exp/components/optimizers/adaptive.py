"""Adaptive optimizers: gradients divided by the magnitude of past gradients."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cifar_exp.components.optimizers.base import (
    Beta2,
    DecayingOptimizer,
    DecoupledDecay,
    Epsilon,
    Group,
    Momentum,
)
from cifar_exp.components.optimizers.stacked import Numbers, StackedStep, State
from cifar_exp.system.lazy_import import torch


def add_to_mean(mean: torch.Tensor, value: torch.Tensor, decay: torch.Tensor) -> None:
    """Add a value to a running mean, of which a step keeps the fraction `decay`."""
    mean.mul_(decay).add_((1 - decay) * value)


class RMSprop(DecayingOptimizer):
    """RMSprop; weight decay is coupled.

    Sources: Hinton 2012, Neural Networks for Machine Learning, lecture 6; Graves 2013, Generating
    Sequences with Recurrent Neural Networks (centered).
    """

    name: ClassVar[str] = "rmsprop"
    slots: ClassVar[tuple[str, ...]] = ("square", "mean", "momentum")

    alpha: Beta2 = 0.99
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0
    centered: bool = Field(default=False, description="divide by the standard deviation instead")

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(
            groups,
            lr=lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            centered=self.centered,
        )

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        state = step.state
        add_to_mean(state["square"], gradient.square(), step["alpha"])
        variance = state["square"]
        if self.centered:
            add_to_mean(state["mean"], gradient, step["alpha"])
            variance = variance - state["mean"].square()
        direction = gradient / (variance.sqrt() + step["eps"])
        if self.momentum > 0:
            direction = state["momentum"].mul_(step["momentum"]).add_(direction)
        step.subtract(direction, step["lr"])


class Adagrad(DecayingOptimizer):
    """Adagrad; weight decay is coupled.

    Source: Duchi et al. 2011, Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization.
    """

    name: ClassVar[str] = "adagrad"

    lr_decay: float = Field(
        default=0.0, ge=0, description="step t uses lr / (1 + (t - 1) lr_decay)"
    )
    initial_accumulator_value: float = Field(
        default=0.0, ge=0, description="initial value of the sum of squared gradients"
    )
    eps: Epsilon = 1e-10

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adagrad(
            groups,
            lr=lr,
            lr_decay=self.lr_decay,
            initial_accumulator_value=self.initial_accumulator_value,
            eps=self.eps,
        )

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:
        """Return the sum of squared gradients of a stacked weight before the first step."""
        initial = numbers["initial_accumulator_value"].to(weight.dtype)
        return {"sum": torch.zeros_like(weight) + initial.view(-1, *[1] * (weight.ndim - 1))}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        total = step.state["sum"].add_(gradient.square())
        step.subtract(gradient / (total.sqrt() + step["eps"]), step["rate"])

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the step size."""
        return {"rate": numbers["lr"] / (1 + (count - 1) * numbers["lr_decay"])}


class Adadelta(DecayingOptimizer):
    """Adadelta; weight decay is coupled. Its natural learning rate is 1.

    Source: Zeiler 2012, ADADELTA: An Adaptive Learning Rate Method.
    """

    name: ClassVar[str] = "adadelta"
    slots: ClassVar[tuple[str, ...]] = ("square", "step_square")

    rho: Beta2 = 0.9
    eps: Epsilon = 1e-6

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(groups, lr=lr, rho=self.rho, eps=self.eps)

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        square, step_square = step.state["square"], step.state["step_square"]
        add_to_mean(square, gradient.square(), step["rho"])
        direction = (step_square + step["eps"]).sqrt() / (square + step["eps"]).sqrt() * gradient
        add_to_mean(step_square, direction.square(), step["rho"])
        step.subtract(direction, step["lr"])


class Adafactor(DecayingOptimizer):
    """Adafactor as in torch, with relative steps of at most lr; weight decay is decoupled.

    Source: Shazeer and Stern 2018, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost.
    """

    name: ClassVar[str] = "adafactor"

    weight_decay: DecoupledDecay = 0.0
    beta2_decay: float = Field(
        default=-0.8, le=0, description="at step t the squared gradients decay by 1 - t^beta2_decay"
    )
    # torch's default for float32: the machine epsilon.
    eps1: Epsilon = 2.0**-23
    eps2: float = Field(
        default=1e-3, ge=0, description="lower bound of the weights' size that scales steps"
    )
    d: float = Field(default=1.0, ge=1, description="updates are clipped to this root mean square")

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adafactor(
            groups,
            lr=lr,
            beta2_decay=self.beta2_decay,
            eps=(self.eps1, self.eps2),
            d=self.d,
        )

    @property
    def decoupled(self) -> bool:
        """Weight decay is decoupled."""
        return True

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:  # noqa: ARG002
        """Return the mean squares of a stacked weight: of rows and columns, or of each element."""
        if weight.ndim <= 2:
            return {"square": torch.zeros_like(weight)}
        rows, columns = weight[..., :1], weight[..., :1, :]
        return {"rows": torch.zeros_like(rows), "columns": torch.zeros_like(columns)}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place; steps scale with the undecayed weight."""
        numbers = step.numbers
        size = torch.maximum(_root_mean_square(step.weight), numbers["eps2"])
        gradient = self.decayed_gradient(step)
        square = self._mean_square(step, gradient.square())
        direction = gradient * square.clamp(min=step["eps1"].square()).rsqrt()
        clipping = (_root_mean_square(direction) / numbers["d"]).clamp(min=1)
        step.subtract(direction, step.column(size * numbers["rate"] / clipping))

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the relative step size, and the share of a gradient in the mean squares."""
        rates = {
            "rate": torch.minimum(numbers["lr"], count.rsqrt()),
            "share": count ** numbers["beta2_decay"],
        }
        return {**super().coefficients(numbers, count), **rates}

    def _mean_square(self, step: StackedStep, square: torch.Tensor) -> torch.Tensor:
        """Return the mean of squared gradients so far, factored into rows and columns."""
        state, share = step.state, step["share"]
        if "square" in state:
            return state["square"].lerp_(square, share)
        rows = state["rows"].lerp_(square.mean(-1, keepdim=True), share)
        columns = state["columns"].lerp_(square.mean(-2, keepdim=True), share)
        return rows @ columns / rows.mean(-2, keepdim=True).clamp(min=step["eps1"])


def _root_mean_square(stacked: torch.Tensor) -> torch.Tensor:
    """Return the root mean square of each network's elements, float64."""
    return stacked.flatten(1).square().mean(1).sqrt().double()
