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
from cifar_exp.system.lazy_import import torch


class RMSprop(DecayingOptimizer):
    """RMSprop; weight decay is coupled.

    Sources: Hinton 2012, Neural Networks for Machine Learning, lecture 6; Graves 2013, Generating
    Sequences with Recurrent Neural Networks (centered).
    """

    name: ClassVar[str] = "rmsprop"

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


class Adadelta(DecayingOptimizer):
    """Adadelta; weight decay is coupled. Its natural learning rate is 1.

    Source: Zeiler 2012, ADADELTA: An Adaptive Learning Rate Method.
    """

    name: ClassVar[str] = "adadelta"

    rho: Beta2 = 0.9
    eps: Epsilon = 1e-6

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.Adadelta(groups, lr=lr, rho=self.rho, eps=self.eps)


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
