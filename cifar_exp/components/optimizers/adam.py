"""The Adam family: the mean gradient divided by the magnitude of gradients."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cifar_exp.components.optimizers.base import (
    Beta1,
    Beta2,
    DecayingOptimizer,
    DecoupledChoice,
    DecoupledDecay,
    Epsilon,
    Group,
)
from cifar_exp.components.optimizers.stacked import Numbers, StackedStep, State
from cifar_exp.system.lazy_import import torch


def add_moments(step: StackedStep, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Add a gradient to the running means of gradient and squared gradient, and return both."""
    mean, square = step.state["mean"], step.state["square"]
    mean.lerp_(gradient, step["new1"])
    square.mul_(step["beta2"]).add_(step["new2"] * gradient.square())
    return mean, square


def adam_coefficients(numbers: Numbers, count: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what `add_moments` and `adam_update` need, with bias corrections 1 - beta^t."""
    return {
        "new1": 1 - numbers["beta1"],
        "new2": 1 - numbers["beta2"],
        "rate": numbers["lr"] / (1 - numbers["beta1"] ** count),
        "root2": (1 - numbers["beta2"] ** count).sqrt(),
    }


def adam_update(
    step: StackedStep,
    gradient: torch.Tensor,
    eps: torch.Tensor | float,
    largest: torch.Tensor | None = None,
) -> None:
    """Update a stacked weight by Adam's rule.

    Args:
        step: The weight, its state and the numbers of this step.
        gradient: The gradient.
        eps: Added to the denominator.
        largest: amsgrad's maximum of all mean squares, updated in place; None without amsgrad.
    """
    mean, square = add_moments(step, gradient)
    if largest is not None:
        torch.maximum(largest, square, out=largest)
        square = largest
    root = square.sqrt().div_(step["root2"]).add_(eps)
    step.subtract(mean / root, step["rate"])


class _Adam(DecayingOptimizer):
    """Adam and AdamW, which differ in weight decay only."""

    slots: ClassVar[tuple[str, ...]] = ("mean", "square")

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    amsgrad: bool = Field(
        default=False, description="divide by the maximum of all mean squares so far"
    )

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:
        """Return the state of a stacked weight, with the maximum for amsgrad."""
        largest = {"largest": torch.zeros_like(weight)} if self.amsgrad else {}
        return {**super().initial_state(weight, numbers), **largest}

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the rates of means and weights at a step."""
        return {**super().coefficients(numbers, count), **adam_coefficients(numbers, count)}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        adam_update(step, gradient, step["eps"], step.state.get("largest"))


class Adam(_Adam):
    """Adam; weight decay is coupled.

    Sources: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization; Reddi et al. 2018, On
    the Convergence of Adam and Beyond (amsgrad).
    """

    name: ClassVar[str] = "adam"

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(
            groups, lr=lr, betas=betas, eps=self.eps, amsgrad=self.amsgrad, fused=True
        )


class AdamW(_Adam):
    """Adam with decoupled weight decay.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: DecoupledDecay = 0.01

    @property
    def decoupled(self) -> bool:
        """Weight decay is decoupled."""
        return True

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(
            groups, lr=lr, betas=betas, eps=self.eps, amsgrad=self.amsgrad, fused=True
        )


class NAdam(DecayingOptimizer):
    """Adam with Nesterov momentum; weight decay is coupled, optionally decoupled.

    Source: Dozat 2016, Incorporating Nesterov Momentum into Adam.
    """

    name: ClassVar[str] = "nadam"
    slots: ClassVar[tuple[str, ...]] = ("mean", "square")

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    momentum_decay: float = Field(
        default=0.004, ge=0, description="rate at which the momentum approaches beta1"
    )
    decoupled_weight_decay: DecoupledChoice = False

    @property
    def decoupled(self) -> bool:
        """Whether weight decay is decoupled from the gradient."""
        return self.decoupled_weight_decay

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.NAdam(
            groups,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            momentum_decay=self.momentum_decay,
            decoupled_weight_decay=self.decoupled_weight_decay,
        )

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:
        """Return the state of a stacked weight, with the product of all momenta so far."""
        product = {"product": torch.ones_like(numbers["lr"])}
        return {**super().initial_state(weight, numbers), **product}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        numbers = step.numbers
        lr, momentum, following = (numbers[name] for name in ("lr", "momentum", "following"))
        product = step.state["product"].mul_(momentum)
        mean, square = add_moments(step, gradient)
        root = square.sqrt().div_(step["root2"]).add_(step["eps"])
        step.subtract(gradient / root, step.column(lr * (1 - momentum) / (1 - product)))
        step.subtract(mean / root, step.column(lr * following / (1 - product * following)))

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the rates of means, and the momentum of this step and of the following one."""
        momentum, following = (
            numbers["beta1"] * (1 - 0.5 * 0.96 ** ((count + ahead) * numbers["momentum_decay"]))
            for ahead in (0, 1)
        )
        return {
            **super().coefficients(numbers, count),
            **adam_coefficients(numbers, count),
            "momentum": momentum,
            "following": following,
        }


class RAdam(DecayingOptimizer):
    """Rectified Adam; weight decay is coupled, optionally decoupled.

    Source: Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond.
    """

    name: ClassVar[str] = "radam"
    slots: ClassVar[tuple[str, ...]] = ("mean", "square")

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    decoupled_weight_decay: DecoupledChoice = False

    @property
    def decoupled(self) -> bool:
        """Whether weight decay is decoupled from the gradient."""
        return self.decoupled_weight_decay

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.RAdam(
            groups,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            decoupled_weight_decay=self.decoupled_weight_decay,
        )

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        mean, square = add_moments(step, gradient)
        root = square.sqrt() + step["eps"]
        root = torch.where(step["rectified"] > 0, root, torch.ones_like(root))
        step.subtract(mean / root, step["rectified_rate"])

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the rates of means, whether the variance is known enough, and the step size."""
        adam = adam_coefficients(numbers, count)
        beta2, correction2 = numbers["beta2"], adam["root2"].square()
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * count * beta2**count / correction2
        rectified = length > 5
        ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        factor = ratio.clamp(min=0).sqrt() * adam["root2"]
        factor = torch.where(rectified, factor, torch.ones_like(factor))
        rates = {"rectified": rectified.double(), "rectified_rate": factor * adam["rate"]}
        return {**super().coefficients(numbers, count), **adam, **rates}


class Adamax(DecayingOptimizer):
    """Adam with the infinity norm instead of the mean square; weight decay is coupled.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, section 7.
    """

    name: ClassVar[str] = "adamax"
    slots: ClassVar[tuple[str, ...]] = ("mean", "largest")

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adamax(groups, lr=lr, betas=betas, eps=self.eps)

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        mean, largest = step.state["mean"], step.state["largest"]
        mean.lerp_(gradient, step["new1"])
        largest.mul_(step["beta2"])
        torch.maximum(largest, gradient.abs() + step["eps"], out=largest)
        step.subtract(mean / largest, step["rate"])

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the rates of means and weights at a step."""
        return {**super().coefficients(numbers, count), **adam_coefficients(numbers, count)}
