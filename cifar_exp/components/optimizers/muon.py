"""Muon: orthogonalised steps for matrices, AdamW for other parameters."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from cifar_exp.components.optimizers.adam import adam_coefficients, adam_update
from cifar_exp.components.optimizers.base import (
    Beta1,
    Beta2,
    DecayingOptimizer,
    DecoupledDecay,
    Group,
    Momentum,
)
from cifar_exp.components.optimizers.stacked import Numbers, StackedStep, State
from cifar_exp.system.lazy_import import torch

ADAMW_EPS = 1e-8
MIN_NORM = 1e-7
"""Lower bound of the norm by which torch.optim.Muon divides."""
QUINTIC = (3.4445, -4.775, 2.0315)
"""Coefficients of the Newton-Schulz iteration, from Jordan et al. 2024."""


class Muon(DecayingOptimizer):
    """Muon for linear and convolution weights, AdamW for the rest; weight decay is decoupled.

    Sources: Jordan et al. 2024, Muon: An Optimizer for Hidden Layers in Neural Networks; Liu et
    al. 2025, Muon is Scalable for LLM Training (one learning rate for both parts).
    """

    name: ClassVar[str] = "muon"

    weight_decay: DecoupledDecay = 0.1
    momentum: Momentum = 0.95
    nesterov: bool = Field(default=True, description="whether Muon uses Nesterov momentum")
    ns_steps: int = Field(default=5, ge=1, lt=100, description="Newton-Schulz iterations per step")
    beta1: Beta1 = 0.9
    beta2: Beta2 = 0.999

    def _make(self, groups: list[Group], lr: float) -> torch.optim.Optimizer:
        from cifar_exp.components.muon_adamw import MuonAdamW  # noqa: PLC0415 - imports torch

        return MuonAdamW(
            groups,
            lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            ns_steps=self.ns_steps,
            betas=(self.beta1, self.beta2),
        )

    @property
    def decoupled(self) -> bool:
        """Weight decay is decoupled."""
        return True

    def initial_state(self, weight: torch.Tensor, numbers: Numbers) -> State:  # noqa: ARG002
        """Return the state of a stacked weight: Muon's for matrices, AdamW's for the rest."""
        slots = ("momentum",) if _is_matrix(weight) else ("mean", "square")
        return {name: torch.zeros_like(weight) for name in slots}

    def update(self, step: StackedStep) -> None:
        """Update a stacked weight and its state in place."""
        gradient = self.decayed_gradient(step)
        if not _is_matrix(step.weight):
            adam_update(step, gradient, ADAMW_EPS)
            return
        momentum = step.state["momentum"].lerp_(gradient, step["new"])
        direction = gradient.lerp(momentum, step["momentum"]) if self.nesterov else momentum
        matrices = direction.flatten(2)
        scale = 0.2 * math.sqrt(max(matrices.shape[1:]))  # to the size of AdamW's steps
        orthogonal = orthogonalize(matrices, self.ns_steps).view(direction.shape)
        step.subtract(orthogonal, scale * step["lr"])

    def coefficients(self, numbers: Numbers, count: torch.Tensor) -> Numbers:
        """Return the rates of means and weights at a step, of Muon and of AdamW."""
        muon = {"new": 1 - numbers["momentum"]}
        return {**super().coefficients(numbers, count), **adam_coefficients(numbers, count), **muon}


def orthogonalize(matrices: torch.Tensor, num_iterations: int) -> torch.Tensor:
    """Return the nearest semi-orthogonal matrices, approximately, in bfloat16.

    Singular values become about 0.7 to 1.2. Source: Jordan et al. 2024, Muon.

    Args:
        matrices: networks x rows x columns.
        num_iterations: Newton-Schulz iterations.
    """
    a, b, c = QUINTIC
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.mT if is_tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=MIN_NORM)
    for _ in range(num_iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


def _is_matrix(weight: torch.Tensor) -> bool:
    """Return whether Muon updates a stacked weight: linear and convolution weights."""
    return weight.ndim in {3, 5}
