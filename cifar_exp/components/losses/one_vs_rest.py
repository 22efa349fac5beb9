"""Losses that compare the label's logit with those of the other classes."""

from __future__ import annotations

import math
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
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        terms = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, shares, reduction="none"
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


class Asymmetric(Loss):
    """Asymmetric loss of one label: -sum_k Y'_k w_k ln p_k, Y' the smoothed label.

    The label has the weight w_y = (1 - p_y)^gamma_pos, the other classes w_k = p_k^gamma_neg; the
    gradient includes that of the weights. Y' = (1 - epsilon) Y + epsilon / C. Probabilities:
    softmax.
    Source: Ridnik et al. 2021, Asymmetric Loss for Multi-Label Classification, with the form for
    one label and its defaults in the authors' code.
    """

    name: ClassVar[str] = "asymmetric"

    gamma_pos: float = Field(default=0.0, ge=0, description="exponent of the label's weight")
    gamma_neg: float = Field(
        default=4.0, ge=0, description="exponent of the weights of the other classes"
    )
    epsilon: float = Field(
        default=0.1, ge=0, lt=1, description="fraction of the label distributed over all classes"
    )

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        log_p = torch.log_softmax(logits, dim=1)
        at_label = labels.unsqueeze(1)
        # ln(1 - p_y) from the other classes, as 1 - p_y may round to 0.
        log_rest = torch.logsumexp(log_p.scatter(1, at_label, -math.inf), dim=1, keepdim=True)
        is_label = one_hot(logits, labels)
        of_label, of_others = self.gamma_pos * log_rest, self.gamma_neg * log_p
        exponents = is_label * of_label + (1 - is_label) * of_others
        smoothed = (1 - self.epsilon) * is_label + self.epsilon / logits.shape[1]
        return -(smoothed * exponents.exp() * log_p).sum(dim=1)
