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
from cifar_exp.system.lazy_import import torch


class Adam(DecayingOptimizer):
    """Adam; weight decay is coupled.

    Sources: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization; Reddi et al. 2018, On
    the Convergence of Adam and Beyond (amsgrad).
    """

    name: ClassVar[str] = "adam"

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    amsgrad: bool = Field(
        default=False, description="divide by the maximum of all mean squares so far"
    )

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(
            groups, lr=lr, betas=betas, eps=self.eps, amsgrad=self.amsgrad, fused=True
        )


class AdamW(DecayingOptimizer):
    """Adam with decoupled weight decay.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization.
    """

    name: ClassVar[str] = "adamw"

    weight_decay: DecoupledDecay = 0.01
    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    amsgrad: bool = Field(
        default=False, description="divide by the maximum of all mean squares so far"
    )

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

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    momentum_decay: float = Field(
        default=0.004, ge=0, description="rate at which the momentum approaches beta1"
    )
    decoupled_weight_decay: DecoupledChoice = False

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.NAdam(
            groups,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            momentum_decay=self.momentum_decay,
            decoupled_weight_decay=self.decoupled_weight_decay,
        )


class RAdam(DecayingOptimizer):
    """Rectified Adam; weight decay is coupled, optionally decoupled.

    Source: Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond.
    """

    name: ClassVar[str] = "radam"

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8
    decoupled_weight_decay: DecoupledChoice = False

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        return torch.optim.RAdam(
            groups,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            decoupled_weight_decay=self.decoupled_weight_decay,
        )


class Adamax(DecayingOptimizer):
    """Adam with the infinity norm instead of the mean square; weight decay is coupled.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, section 7.
    """

    name: ClassVar[str] = "adamax"

    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999
    eps: Epsilon = 1e-8

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        betas = (self.beta1, self.beta2)
        return torch.optim.Adamax(groups, lr=lr, betas=betas, eps=self.eps)
