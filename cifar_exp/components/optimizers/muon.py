"""Muon: orthogonalised steps for matrices, AdamW for other parameters."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cifar_exp.components.optimizers.base import (
    Beta1,
    Beta2,
    DecayingOptimizer,
    DecoupledDecay,
    Group,
    Momentum,
)
from cifar_exp.system.lazy_import import torch


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
