"""Losses that compare the label's logit with those of the other classes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cifar_exp.components.losses.base import Loss, one_hot
from cifar_exp.system.lazy_import import torch


class BinaryCrossEntropy(Loss):
    """One-vs-all cross-entropy: sum_k [-Y_k ln s(z_k) - (1 - Y_k) ln(1 - s(z_k))], s the sigmoid.

    A sum over classes. Probabilities: s(z_k) / sum_j s(z_j), the normalised sigmoids.
    Source: Rifkin and Klautau 2004, In Defense of One-Vs-All Classification.
    """

    name: ClassVar[str] = "bce"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        terms = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, one_hot(logits, labels), reduction="none"
        )
        return terms.sum(dim=1)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits to class probabilities: the normalised sigmoids."""
        # In log space, as all sigmoids of an image may round to 0.
        return torch.softmax(torch.nn.functional.logsigmoid(logits), dim=1)


class MultiMargin(Loss):
    """Multi-class hinge loss: (1 / C) sum_{i != y} max(0, margin - z_y + z_i)^p.

    The sum is divided by all C classes, as in torch.nn.MultiMarginLoss. Probabilities: softmax,
    whose order is meaningful, but which are not calibrated.
    Source: Weston and Watkins 1999, Support Vector Machines for Multi-Class Pattern Recognition.
    """

    name: ClassVar[str] = "multi_margin"

    margin: float = Field(default=1.0, gt=0, description="required margin of the label's logit")
    p: Literal[1, 2] = Field(default=1, description="exponent of each violation")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.multi_margin_loss(
            logits, labels, p=self.p, margin=self.margin, reduction="none"
        )
