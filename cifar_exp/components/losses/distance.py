"""Losses based on the distance between outputs and one-hot labels."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cifar_exp.components.losses.base import Loss, one_hot
from cifar_exp.system.lazy_import import torch


class _Regression(Loss):
    """A distance between the network's outputs and the one-hot labels."""

    compare: Literal["probabilities", "logits"] = Field(
        default="probabilities",
        description="compared with the one-hot labels: softmax probabilities or raw logits",
    )

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the values that are compared with the one-hot labels (N x C)."""
        return logits if self.compare == "logits" else torch.softmax(logits, dim=1)


class MeanSquaredError(_Regression):
    """Mean squared error: mean_k (p_k - Y_k)^2, the same as torch.nn.MSELoss on one-hot labels.

    As a mean over classes it equals Brier / C. With compare = "logits", p is replaced by z.
    Probabilities: softmax in both cases; after training on raw logits their order is
    meaningful, but they are not calibrated.
    Source: Golik et al. 2013, Cross-Entropy vs. Squared Error Training.
    """

    name: ClassVar[str] = "mse"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target = one_hot(logits, labels)
        squares = torch.nn.functional.mse_loss(self.outputs(logits), target, reduction="none")
        return squares.mean(dim=1)


class MeanAbsoluteError(_Regression):
    """Mean absolute error: mean_k |p_k - Y_k|, the same as torch.nn.L1Loss on one-hot labels.

    As a mean over classes it equals 2 (1 - p_y) / C. With compare = "logits", p is replaced by z.
    Probabilities: softmax in both cases; after training on raw logits their order is
    meaningful, but they are not calibrated.
    Source: Ghosh et al. 2017, Robust Loss Functions under Label Noise for Deep Neural Networks.
    """

    name: ClassVar[str] = "l1"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target = one_hot(logits, labels)
        distances = torch.nn.functional.l1_loss(self.outputs(logits), target, reduction="none")
        return distances.mean(dim=1)


class Huber(_Regression):
    """Huber loss: sum_k h(p_k - Y_k), with h(r) = r^2 / 2 if |r| <= delta.

    Beyond delta, h(r) = delta (|r| - delta / 2). A sum over classes. On probabilities delta = 1 is
    Brier / 2, as |r| <= 1. With compare = "logits", p is replaced by z. Probabilities: softmax.
    Source: Huber 1964, Robust Estimation of a Location Parameter.
    """

    name: ClassVar[str] = "huber"

    delta: float = Field(
        default=0.5, gt=0, description="threshold between the quadratic and the linear part"
    )

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        terms = torch.nn.functional.huber_loss(
            self.outputs(logits), one_hot(logits, labels), reduction="none", delta=self.delta
        )
        return terms.sum(dim=1)


class Brier(Loss):
    """Brier score: sum_k (p_k - Y_k)^2, a sum over classes. Probabilities: softmax.

    Source: Brier 1950, Verification of Forecasts Expressed in Terms of Probability.
    """

    name: ClassVar[str] = "brier"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (torch.softmax(logits, dim=1) - one_hot(logits, labels)).square().sum(dim=1)


class RescaledMeanSquaredError(Loss):
    """Rescaled square loss: (k (z_y - M)^2 + sum_{i != y} z_i^2) / C, on raw logits.

    A mean over classes; k = M = 1 is the square loss on raw logits. Probabilities: softmax,
    whose order is meaningful, but which are not calibrated.
    Source: Hui and Belkin 2021, Evaluation of Neural Architectures Trained with Square Loss vs
    Cross-Entropy in Classification Tasks; they rescale for 42 or more classes.
    """

    name: ClassVar[str] = "mse_rescaled"

    k: float = Field(default=1.0, gt=0, description="weight of the label's term")
    M: float = Field(default=1.0, gt=0, description="target value of the label's logit")

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        target = one_hot(logits, labels)
        weight = 1 + (self.k - 1) * target
        return (weight * (logits - self.M * target).square()).mean(dim=1)
