"""Gradient descent and sign-based steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from cifar_exp.components.optimizers.base import DecayingOptimizer, Group, Momentum, Optimizer
from cifar_exp.components.optimizers.stacked import Numbers, StackedStep, State
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    from typing import Self


class SGD(DecayingOptimizer):
    """Stochastic gradient descent with momentum; weight decay is coupled.

    Sources: Robbins and Monro 1951; Sutskever et al. 2013, On the Importance of Initialization and
    Momentum in Deep Learning.
    """

    name: ClassVar[str] = "sgd"
    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    momentum: Momentum = 0.0
    dampening: float = Field(
        default=0.0, ge=0, le=1, description="dampening of the gradient in the momentum"
    )
    nesterov: bool = Field(default=False, description="whether to use Nesterov momentum")

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov needs momentum above 0 and dampening 0")
        return self

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            groups,
            lr=lr,
            momentum=self.momentum,
            dampening=self.dampening,
            nesterov=self.nesterov,
            fused=True,
        )

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:
        """Return the state of a stacked weight; there is none without momentum."""
        return super().initial_state(weight, numbers) if self.momentum > 0 else {}

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the share of the gradient in the momentum; the first one enters undampened."""
        if self.momentum == 0:
            return {}
        return {"share": 1 - numbers["dampening"] * (count > 1)}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        if self.momentum > 0:
            momentum = step.state["momentum"]
            momentum.mul_(step["momentum"]).add_(step["share"] * gradient)
            gradient = gradient + step["momentum"] * momentum if self.nesterov else momentum
        step.subtract(gradient, step["lr"])


class ASGD(DecayingOptimizer):
    """Averaged gradient descent with a decreasing step size; weight decay is coupled.

    The average of the iterates is in the optimizer's state; the model has the last iterate. As in
    torch, a change of the learning rate by a schedule takes effect one step later.
    Source: Polyak and Juditsky 1992, Acceleration of Stochastic Approximation by Averaging.
    """

    name: ClassVar[str] = "asgd"

    lambd: float = Field(
        default=1e-4, ge=0, description="decay of the step size, and of the weights"
    )
    alpha: float = Field(
        default=0.75, ge=0, le=1, description="exponent of the decay of the step size"
    )
    t0: float = Field(default=1e6, ge=0, description="step at which averaging starts")

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.ASGD(groups, lr=lr, lambd=self.lambd, alpha=self.alpha, t0=self.t0)

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the present step size, and the factor by which it shrinks the weights."""
        lr = numbers["previous_lr"]
        decay = numbers["lambd"] * lr
        rate = lr / (1 + decay * (count - 1)) ** numbers["alpha"]
        return {"rate": rate, "lambd_shrink": 1 - numbers["lambd"] * rate}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight; the average is not computed, as no result uses it."""
        gradient = self.decayed_gradient(step)
        step.weight.mul_(step["lambd_shrink"])
        step.subtract(gradient, step["rate"])


class Rprop(Optimizer):
    """Resilient propagation, for full-batch training: steps by the sign of the gradient.

    There is no weight decay; lr is the initial step size.
    Source: Riedmiller and Braun 1993, A Direct Adaptive Method for Faster Backpropagation Learning.
    """

    name: ClassVar[str] = "rprop"
    schedulable: ClassVar[bool] = False

    eta_minus: float = Field(
        default=0.5, gt=0, lt=1, description="factor of the step size if the sign changes"
    )
    eta_plus: float = Field(
        default=1.2, gt=1, description="factor of the step size if the sign stays the same"
    )
    step_min: float = Field(default=1e-6, gt=0, description="smallest step size")
    step_max: float = Field(default=50.0, gt=0, description="largest step size")

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Rprop(
            groups,
            lr=lr,
            etas=(self.eta_minus, self.eta_plus),
            step_sizes=(self.step_min, self.step_max),
        )

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:
        """Return the previous gradient, zero, and the step size of each element, lr."""
        lr = numbers["lr"].to(weight.dtype).view(-1, *[1] * (weight.ndim - 1))
        return {"previous": torch.zeros_like(weight), "size": torch.zeros_like(weight) + lr}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight; an element whose gradient changes its sign rests once."""
        previous, size = step.state["previous"], step.state["size"]
        agreement = step.gradient * previous
        ones = torch.ones_like(size)
        size.mul_(torch.where(agreement > 0, step["eta_plus"], ones))
        size.mul_(torch.where(agreement < 0, step["eta_minus"], ones))
        size.clamp_(step["step_min"], step["step_max"])
        previous.copy_(step.gradient.masked_fill(agreement < 0, 0.0))
        step.weight.addcmul_(previous.sign(), size, value=-1)
