"""Losses based on the label's probability: cross-entropy and variants."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from cifar_exp.components.losses.base import Loss, label_log_probability, one_hot
from cifar_exp.system.lazy_import import torch

LEAST_SHARE = 1e-4
"""Replaces a share of 0 in logarithms of labels."""


class CrossEntropy(Loss):
    """Cross-entropy: -ln p_y, the negative log-likelihood of the label.

    With label smoothing e: (1 - e)(-ln p_y) + e mean_k(-ln p_k). Probabilities: softmax.
    Source: Szegedy et al. 2016, Rethinking the Inception Architecture (label smoothing).
    """

    name: ClassVar[str] = "cross_entropy"

    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="fraction of the label distributed evenly over all classes",
    )

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing, reduction="none"
        )

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(
            logits, shares, label_smoothing=self.label_smoothing, reduction="none"
        )


class Focal(Loss):
    """Focal loss: -(1 - p_y)^gamma ln p_y, which reduces the weight of well-classified images.

    The gradient includes that of the factor. gamma = 0 is cross-entropy. Probabilities: softmax.
    Source: Lin et al. 2017, Focal Loss for Dense Object Detection, equation 4.
    """

    name: ClassVar[str] = "focal"

    gamma: float = Field(default=2.0, ge=0, description="exponent of the factor 1 - p_y")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        at_label = labels.unsqueeze(1)
        # ln(1 - p_y) from the other classes, as 1 - p_y may round to 0, where a power below 1
        # has an infinite slope.
        log_rest = torch.logsumexp(log_p.scatter(1, at_label, -math.inf), dim=1)
        return -torch.exp(self.gamma * log_rest) * log_p.gather(1, at_label).squeeze(1)


def reverse_cross_entropy(log_p: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return -sum_k p_k ln max(Y_k, 1e-4) of each image (N), as in the authors' code.

    Args:
        log_p: ln p, N x C.
        shares: Shares of the classes in place of Y, N x C.
    """
    return -(log_p.exp() * shares.clamp(min=LEAST_SHARE).log()).sum(dim=1)


class GeneralizedCrossEntropy(Loss):
    """Generalized cross-entropy: (1 - p_y^q) / q. Probabilities: softmax.

    q -> 0 is cross-entropy, q = 1 is 1 - p_y, the absolute error.
    Source: Zhang and Sabuncu 2018, Generalized Cross Entropy Loss for Training Deep Neural
    Networks with Noisy Labels.
    """

    name: ClassVar[str] = "generalized_cross_entropy"

    q: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="interpolates between cross-entropy (0) and absolute error (1)",
    )

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        log_p = label_log_probability(logits, labels)
        return -torch.expm1(self.q * log_p) / self.q


class SymmetricCrossEntropy(Loss):
    """Symmetric cross-entropy: alpha (-ln p_y) + beta (-sum_k p_k ln Y_k). Probabilities: softmax.

    ln 0 is replaced by ln 1e-4 for the zeros of Y, as in the authors' code, so the second
    part is -ln 1e-4 (1 - p_y) = 9.21 (1 - p_y).
    Source: Wang et al. 2019, Symmetric Cross Entropy for Robust Learning with Noisy Labels.
    """

    name: ClassVar[str] = "symmetric_cross_entropy"

    alpha: float = Field(default=0.1, ge=0, description="weight of cross-entropy")
    beta: float = Field(default=1.0, ge=0, description="weight of reverse cross-entropy")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        log_p = label_log_probability(logits, labels)
        reverse = math.log(LEAST_SHARE) * torch.expm1(log_p)
        return self.beta * reverse - self.alpha * log_p

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        cross_entropy = -(shares * log_p).sum(dim=1)
        return self.alpha * cross_entropy + self.beta * reverse_cross_entropy(log_p, shares)


class Poly1(Loss):
    """Poly-1 cross-entropy: -ln p_y + epsilon (1 - p_y). Probabilities: softmax.

    Source: Leng et al. 2022, PolyLoss: A Polynomial Expansion Perspective of Classification Loss
    Functions.
    """

    name: ClassVar[str] = "poly1"

    epsilon: float = Field(default=2.0, ge=-1, description="weight of the additional term 1 - p_y")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        log_p = label_log_probability(logits, labels)
        return -(log_p + self.epsilon * torch.expm1(log_p))


class Squentropy(Loss):
    """Squentropy: -ln p_y + mean_{k != y} z_k^2, cross-entropy and the mean of the other logits^2.

    With mixed labels Y: sum_k Y_k (-ln p_k) + sum_k (1 - Y_k) z_k^2 / (C - 1). Probabilities:
    softmax.
    Source: Hui, Belkin and Wright 2023, Cut your Losses with Squentropy.
    """

    name: ClassVar[str] = "squentropy"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        cross_entropy = torch.nn.functional.cross_entropy(logits, shares, reduction="none")
        squares = ((1 - shares) * logits.square()).sum(dim=1)
        return cross_entropy + squares / (logits.shape[1] - 1)
