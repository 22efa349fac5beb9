"""Outputs of M networks on the same N examples of C classes, and what they predict.

Classes are dimension 1, so that all examples of a class are side by side in memory. A CPU then
computes softmax and maximum for several examples at once: a softmax of 5,000 x 10 float64 takes a
sixth of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from cifar_exp.components.metrics.calibration import ByConfidence
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.components.metrics.probabilities import probabilities_of
from cifar_exp.components.metrics.temperature import scaled
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    from cifar_exp.components.losses import Loss

# Numbers of a part. Larger ones do not stay in the cache of a CPU; on a GPU they need much memory.
PART_ON_CPU = 2**17
PART_ON_GPU = 2**27


@dataclass(frozen=True, kw_only=True, eq=False)
class Outputs:
    """The outputs of M networks on a split, on one device; what metrics share is computed once."""

    logits: torch.Tensor
    """M x C x N, float32 or float64."""
    probabilities: torch.Tensor
    """M x C x N, float64, by each loss's map from the logits; those of an example sum to 1."""
    labels: torch.Tensor
    """N class indices, int64, the same for all networks."""
    temperatures: torch.Tensor | None = None
    """M, float64: the temperature of each network, if it is known."""

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @cached_property
    def predicted(self) -> torch.Tensor:
        """M x N, int64: the class of the largest logit, the first of equal ones.

        Logits are used instead of probabilities, as probabilities become equal by rounding earlier.
        """
        return self.logits.max(dim=1).indices  # of the first, which torch documents for any device

    @cached_property
    def confidence(self) -> torch.Tensor:
        """M x N, float32: the probability of the predicted class."""
        return self.probabilities.gather(1, self.predicted.unsqueeze(1)).squeeze(1).float()

    @cached_property
    def correct(self) -> torch.Tensor:
        """M x N: whether each prediction is correct."""
        return self.predicted == self.labels

    @cached_property
    def by_confidence(self) -> ByConfidence:
        """The predictions in the order of their confidence."""
        return ByConfidence.of(self.confidence, self.correct)

    @cached_property
    def scaled(self) -> Self | None:
        """The outputs after temperature scaling; None without temperatures."""
        if self.temperatures is None:
            return None
        probabilities = scaled(self.probabilities, self.temperatures)
        return replace(self, probabilities=probabilities, temperatures=None)

    @cached_property
    def zero_if_finite(self) -> torch.Tensor:
        """M: 0, or NaN for a network with a logit that is not finite."""
        return (self.logits * 0).sum(dim=(1, 2))

    def predictions(self) -> list[Predictions]:
        """Return the predictions of each network, on the host."""
        kind = np.min_scalar_type(self.num_classes - 1)
        label = self.labels.cpu().numpy().astype(kind)
        predicted = self.predicted.cpu().numpy().astype(kind)
        confidence = self.confidence.cpu().numpy()
        after = None if self.scaled is None else self.scaled.confidence.cpu().numpy()
        return [
            Predictions(
                label=label,
                predicted=predicted[network],
                confidence=confidence[network],
                confidence_scaled=None if after is None else after[network],
            )
            for network in range(len(predicted))
        ]


def outputs_of(
    logits: torch.Tensor,
    labels: torch.Tensor,
    losses: Sequence[Loss],
    temperatures: torch.Tensor | None = None,
) -> Iterator[Outputs]:
    """Yield the outputs of M networks, in parts of as many networks as are fast together.

    Args:
        logits: M x N x C.
        labels: N class indices.
        losses: The loss of each network.
        temperatures: M, float64, on the device of the logits.
    """
    part = PART_ON_CPU if logits.device.type == "cpu" else PART_ON_GPU
    size = max(1, part // logits[0].numel())
    for first in range(0, len(losses), size):
        networks = slice(first, first + size)
        of_part = logits[networks].mT.contiguous()
        probabilities = probabilities_of(of_part, losses[networks])
        yield Outputs(
            logits=of_part,
            probabilities=probabilities,
            labels=labels,
            temperatures=None if temperatures is None else temperatures[networks],
        )
