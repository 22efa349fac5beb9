"""Losses based on the distance between outputs and one-hot labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from cifar_exp.components.losses.base import Loss, one_hot
from cifar_exp.system.lazy_import import torch

LEAST_SHARE = 0.01
"""The smallest probability by `balanced`, as a share of 1 / C."""


def balanced(to_zero: torch.Tensor, to_one: torch.Tensor) -> torch.Tensor:
    """Return the class probabilities at which outputs on raw logits are optimal (N x C).

    Where a loss is a sum over classes, the expected loss is smallest where each output is in
    balance: p x slope of the label's term = (1 - p) x slope of the other term. Hence
    p = to_zero / (to_zero + to_one). As a class whose output is 0 is not impossible, p is at least
    LEAST_SHARE / C. The probabilities are then normalised.

    Args:
        to_zero: N x C; the slope of the other term, toward 0, at each output.
        to_one: N x C; the slope of the label's term, toward its target.
    """
    shares = to_zero / (to_zero + to_one)
    bounded = shares.clamp(min=LEAST_SHARE / shares.shape[1])
    return bounded / bounded.sum(dim=1, keepdim=True)


class _Regression(Loss):
    """A distance between the network's outputs and the one-hot labels."""

    compare: Literal["probabilities", "logits"] = Field(
        default="probabilities",
        description="compared with the one-hot labels: softmax probabilities or raw logits",
    )

    def outputs(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the values that are compared with the one-hot labels (N x C)."""
        return logits if self.compare == "logits" else torch.softmax(logits, dim=1)


class _Invertible(_Regression):
    """A distance whose optimal raw logits determine the class probabilities."""

    @classmethod
    def results_version(cls, values: Mapping[str, Any]) -> int:
        """Return the version: on raw logits, 1 used the softmax."""
        return 2 if values["compare"] == "logits" else 1

    @property
    def is_softmax(self) -> bool:
        """Whether the map is the softmax."""
        return self.compare == "probabilities"

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits to class probabilities: the softmax, or `balanced` on raw logits."""
        if self.is_softmax:
            return super().probabilities(logits)
        within = logits.clamp(0, 1)
        return balanced(self._slope(within), self._slope(1 - within))

    @abstractmethod
    def _slope(self, distances: torch.Tensor) -> torch.Tensor:
        """Return the slope of the distance up to a factor; distances are from 0 to 1."""


class MeanSquaredError(_Invertible):
    """Mean squared error: mean_k (p_k - Y_k)^2, the same as torch.nn.MSELoss on one-hot labels.

    As a mean over classes it equals Brier / C. With compare = "logits", p is replaced by z.
    Probabilities: softmax; with compare = "logits", z clipped to [0, 1] and normalised, as the
    optimal z_k is the probability of class k.
    Source: Golik et al. 2013, Cross-Entropy vs. Squared Error Training.
    """

    name: ClassVar[str] = "mse"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        squares = torch.nn.functional.mse_loss(self.outputs(logits), shares, reduction="none")
        return squares.mean(dim=1)

    def _slope(self, distances: torch.Tensor) -> torch.Tensor:
        return distances


class MeanAbsoluteError(_Regression):
    """Mean absolute error: mean_k |p_k - Y_k|, the same as torch.nn.L1Loss on one-hot labels.

    As a mean over classes it equals 2 (1 - p_y) / C. With compare = "logits", p is replaced by z.
    Probabilities: softmax in both cases. The optimal p is 1 for the most probable class, and the
    optimal z_k tells only whether class k has a probability above 1/2: neither is calibrated.
    Source: Ghosh et al. 2017, Robust Loss Functions under Label Noise for Deep Neural Networks.
    """

    name: ClassVar[str] = "l1"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        distances = torch.nn.functional.l1_loss(self.outputs(logits), shares, reduction="none")
        return distances.mean(dim=1)


class Huber(_Invertible):
    """Huber loss: sum_k h(p_k - Y_k), with h(r) = r^2 / 2 if |r| <= delta.

    Beyond delta, h(r) = delta (|r| - delta / 2). A sum over classes. On probabilities delta = 1 is
    Brier / 2, as |r| <= 1. With compare = "logits", p is replaced by z. Probabilities: softmax;
    with compare = "logits", h'(z_k) / (h'(z_k) + h'(1 - z_k)), z clipped to [0, 1], normalised, as
    the optimal z_k is where (1 - p_k) h'(z_k) = p_k h'(1 - z_k).
    Source: Huber 1964, Robust Estimation of a Location Parameter.
    """

    name: ClassVar[str] = "huber"

    delta: float = Field(
        default=0.5, gt=0, description="threshold between the quadratic and the linear part"
    )

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        terms = torch.nn.functional.huber_loss(
            self.outputs(logits), shares, reduction="none", delta=self.delta
        )
        return terms.sum(dim=1)

    def _slope(self, distances: torch.Tensor) -> torch.Tensor:
        return distances.clamp(max=self.delta)


class Brier(Loss):
    """Brier score: sum_k (p_k - Y_k)^2, a sum over classes. Probabilities: softmax.

    Source: Brier 1950, Verification of Forecasts Expressed in Terms of Probability.
    """

    name: ClassVar[str] = "brier"

    def _per_image(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._per_distribution(logits, one_hot(logits, labels))

    def _per_distribution(self, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        return (torch.softmax(logits, dim=1) - shares).square().sum(dim=1)


class RescaledMeanSquaredError(Loss):
    """Rescaled square loss: (k (z_y - M)^2 + sum_{i != y} z_i^2) / C, on raw logits.

    A mean over classes; k = M = 1 is the square loss on raw logits. Probabilities:
    z_j / (k M - (k - 1) z_j) of class j with z clipped to [0, M], normalised, as the optimal z_j is
    where (1 - p_j) z_j = p_j k (M - z_j).
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

    @classmethod
    def results_version(cls, values: Mapping[str, Any]) -> int:  # noqa: ARG003
        """Return the version: 1 used the softmax."""
        return 2

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Map logits to class probabilities: `balanced`."""
        within = logits.clamp(0, self.M)
        return balanced(within, self.k * (self.M - within))
