"""Losses for training labels of which some are wrong."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cifar_exp.components.losses.base import Loss, label_log_probability, one_hot
from cifar_exp.components.losses.context import Context, Need
from cifar_exp.components.losses.in_context import ContextLoss
from cifar_exp.components.losses.likelihood import reverse_cross_entropy
from cifar_exp.system.lazy_import import torch

LEAST_PROBABILITY = 1e-4
"""Probabilities of early-learning regularization are within this distance of 0 and 1."""


class NormalizedAndReverse(Loss):
    """Active passive loss: alpha (ln p_y / sum_k ln p_k) + beta (-sum_k p_k ln Y_k).

    Normalised cross-entropy (NCE) and reverse cross-entropy (RCE), where ln 0 is replaced by
    ln 1e-4. Probabilities: softmax. The defaults are those of the paper for CIFAR-10; for CIFAR-100
    it has alpha = 10 and beta = 0.1.
    Source: Ma et al. 2020, Normalized Loss Functions for Deep Learning with Noisy Labels.
    """

    name: ClassVar[str] = "nce_rce"

    alpha: float = Field(default=1.0, ge=0, description="weight of normalised cross-entropy")
    beta: float = Field(default=1.0, ge=0, description="weight of reverse cross-entropy")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        normalised = (shares * log_p).sum(dim=1) / log_p.sum(dim=1)
        return self.alpha * normalised + self.beta * reverse_cross_entropy(log_p, shares)


class TaylorCrossEntropy(Loss):
    """Taylor cross-entropy: sum_{i = 1}^t (1 - p_y)^i / i, the first terms of -ln p_y.

    t = 1 is the absolute error. Probabilities: softmax.
    Source: Feng et al. 2020, Can Cross Entropy Loss Be Robust to Label Noise?
    """

    name: ClassVar[str] = "taylor_cross_entropy"

    t: int = Field(default=2, ge=1, le=100, description="number of terms")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rest = -torch.expm1(label_log_probability(logits, labels))
        total = torch.zeros_like(rest)
        for i in range(self.t, 0, -1):
            total = rest * (1 / i + total)
        return total


class EarlyLearningRegularization(ContextLoss):
    """Early-learning regularization: -ln p_y + lambd ln(1 - sum_k p_k t_k).

    t is the running mean of the image's earlier p, zero at first: each epoch it keeps the fraction
    beta and adds 1 - beta of the present p. p is clipped to 1e-4 and 1 - 1e-4, and normalised where
    it is added. Probabilities: softmax. The defaults are those of the paper for CIFAR-10; for
    CIFAR-100 it has lambd = 7 and beta = 0.9.
    Source: Liu et al. 2020, Early-Learning Regularization Prevents Memorization of Noisy Labels.
    """

    name: ClassVar[str] = "elr"
    needs: ClassVar[frozenset[Need]] = frozenset({"memory"})

    lambd: float = Field(default=3.0, ge=0, description="weight of the regularization")
    beta: float = Field(default=0.7, ge=0, lt=1, description="fraction that the running mean keeps")

    def _in_context(
        self, logits: torch.Tensor, labels: torch.Tensor, context: Context
    ) -> torch.Tensor:
        # The gradient of `clamp` copies a number to the device, which no CUDA graph can capture.
        ends = LEAST_PROBABILITY, 1 - LEAST_PROBABILITY
        p = torch.nn.functional.hardtanh(torch.softmax(logits, dim=1), *ends)
        target = self._target(p.detach(), context).to(p.dtype)
        regularization = torch.log1p(-(p * target).sum(dim=1))
        return self.lambd * regularization - label_log_probability(logits, labels)

    def _target(self, p: torch.Tensor, context: Context) -> torch.Tensor:
        """Update the running means of these images, and return them."""
        earlier = context.memory.index_select(0, context.index)
        target = self.beta * earlier + (1 - self.beta) * p / p.sum(dim=1, keepdim=True)
        context.memory.index_copy_(0, context.index, target.to(context.memory.dtype))
        return target
