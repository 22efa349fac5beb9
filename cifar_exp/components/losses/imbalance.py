"""Losses for classes of different sizes: margins, shifts and weights by the number of images."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from cifar_exp.components.losses.context import Context, Need
from cifar_exp.components.losses.in_context import ContextLoss
from cifar_exp.system.lazy_import import torch

Beta = Annotated[
    float,
    Field(ge=0, lt=1, description="a class of n images has the weight (1 - beta) / (1 - beta^n)"),
]


def effective_number_weights(class_counts: torch.Tensor, beta: float) -> torch.Tensor:
    """Return the weights of classes by their effective number of images, with sum C (C, float64).

    Source: Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples. A class
    without images has the weight 0, and is not counted in C.
    """
    counts = class_counts.double()
    there = counts > 0
    weights = ((1 - beta) / (1 - beta ** counts.clamp(min=1))) * there
    return weights * there.sum() / weights.sum()


class LDAM(ContextLoss):
    """Label-distribution-aware margin: cross-entropy of s z, with z_y less a margin for the label.

    The margin of a class of n images is proportional to n^(-1/4), at most max_m. After the share
    reweight_from of the training, the loss of an image is multiplied by the weight of its class,
    (1 - beta) / (1 - beta^n) with mean 1 over classes: deferred re-weighting (DRW), in the authors'
    code from 0.8. The authors' last layer has weights and features of norm 1: that of networks
    with `head = "cosine"`. Probabilities: softmax of s z, without the margin.
    Source: Cao et al. 2019, Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss.
    """

    name: ClassVar[str] = "ldam"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts", "progress"})

    max_m: float = Field(default=0.5, ge=0, description="margin of the class with fewest images")
    s: float = Field(default=30.0, gt=0, description="factor of the logits")
    reweight_from: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="share of the training after which classes are weighted; 1 for never",
    )
    beta: Beta = 0.9999

    def _in_context(
        self, logits: torch.Tensor, labels: torch.Tensor, context: Context
    ) -> torch.Tensor:
        counts = context.class_counts
        relative = counts.clamp(min=1).pow(-0.25) * (counts > 0)
        margins = (self.max_m * relative / relative.max()).to(logits.dtype)
        at_label = labels.unsqueeze(1)
        lowered = logits.scatter_add(1, at_label, -margins.index_select(0, labels).unsqueeze(1))
        losses = torch.nn.functional.cross_entropy(self.s * lowered, labels, reduction="none")
        if self.reweight_from == 1:
            return losses
        weights = effective_number_weights(context.class_counts, self.beta).to(logits.dtype)
        weights = torch.where(
            context.progress >= self.reweight_from, weights, torch.ones_like(weights)
        )
        return losses * weights.index_select(0, labels)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits to class probabilities: the softmax of s z."""
        return torch.softmax(self.s * logits, dim=1)


class LogitAdjusted(ContextLoss):
    """Logit adjustment: cross-entropy of z + tau ln q, q the shares of the classes in training.

    tau = 1 is balanced softmax. Probabilities: softmax of z, which are those for classes of the
    same size.
    Sources: Menon et al. 2021, Long-Tail Learning via Logit Adjustment, equation 10; Ren et al.
    2020, Balanced Meta-Softmax for Long-Tailed Visual Recognition.
    """

    name: ClassVar[str] = "logit_adjusted"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    tau: float = Field(default=1.0, ge=0, description="weight of the logarithms of the shares")

    def _in_context(
        self, logits: torch.Tensor, labels: torch.Tensor, context: Context
    ) -> torch.Tensor:
        counts = context.class_counts.clamp(min=1)  # a class without images stays finite
        shift = self.tau * (counts / counts.sum()).log().to(logits.dtype)
        return torch.nn.functional.cross_entropy(logits + shift, labels, reduction="none")


class ClassBalanced(ContextLoss):
    """Class-balanced cross-entropy: -w_y ln p_y, the weight w by the effective number of images.

    w = (1 - beta) / (1 - beta^n) of a class of n images, normalised to sum C. Probabilities:
    softmax.
    Source: Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples.
    """

    name: ClassVar[str] = "class_balanced"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    beta: Beta = 0.9999

    def _in_context(
        self, logits: torch.Tensor, labels: torch.Tensor, context: Context
    ) -> torch.Tensor:
        weights = effective_number_weights(context.class_counts, self.beta).to(logits.dtype)
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        return losses * weights.index_select(0, labels)
