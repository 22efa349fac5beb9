"""Outputs of M networks on the same N examples of C classes, and what they predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cifar_exp.components.metrics.calibration import ByConfidence
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.components.metrics.probabilities import class_major, probabilities_of
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
    """M x N x C, float32 or float64."""
    probabilities: torch.Tensor
    """M x N x C, float64, by each loss's map from the logits; rows sum to 1."""
    labels: torch.Tensor
    """N class indices, int64, the same for all networks."""

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[-1]

    @cached_property
    def predicted(self) -> torch.Tensor:
        """M x N, int64: the class of the largest logit, the first of equal ones.

        Logits are used instead of probabilities, as probabilities become equal by rounding earlier.
        """
        largest = self.logits == self.logits.amax(dim=-1, keepdim=True)
        from_last = torch.arange(self.num_classes, 0, -1, device=largest.device, dtype=torch.int32)
        # 0 if no logit is the largest, as of NaN
        return self.num_classes - (largest * from_last).amax(dim=-1).clamp(min=1).long()

    @cached_property
    def confidence(self) -> torch.Tensor:
        """M x N, float32: the probability of the predicted class."""
        own = self.probabilities.gather(-1, self.predicted.unsqueeze(-1))
        return own.squeeze(-1).float()

    @cached_property
    def correct(self) -> torch.Tensor:
        """M x N: whether each prediction is correct."""
        return self.predicted == self.labels

    @cached_property
    def by_confidence(self) -> ByConfidence:
        """The predictions in the order of their confidence."""
        return ByConfidence.of(self.confidence, self.correct)

    @cached_property
    def finite(self) -> torch.Tensor:
        """M: whether all logits of a network are finite."""
        return self.logits.abs().amax(dim=(1, 2)) < torch.inf  # NaN is the largest

    def predictions(self) -> list[Predictions]:
        """Return the predictions of each network, on the host."""
        kind = np.min_scalar_type(self.num_classes - 1)
        label = self.labels.cpu().numpy().astype(kind)
        predicted = self.predicted.cpu().numpy().astype(kind)
        return [
            Predictions(label=label, predicted=of_network, confidence=confidence)
            for of_network, confidence in zip(predicted, self.confidence.cpu().numpy(), strict=True)
        ]


def outputs_of(
    logits: torch.Tensor, labels: torch.Tensor, losses: Sequence[Loss]
) -> Iterator[Outputs]:
    """Yield the outputs of M networks, in parts of as many networks as are fast together.

    Args:
        logits: M x N x C.
        labels: N class indices.
        losses: The loss of each network.
    """
    part = PART_ON_CPU if logits.device.type == "cpu" else PART_ON_GPU
    size = max(1, part // logits[0].numel())
    for first in range(0, len(losses), size):
        networks = slice(first, first + size)
        of_part = class_major(logits[networks])
        probabilities = probabilities_of(of_part, losses[networks])
        yield Outputs(logits=of_part, probabilities=probabilities, labels=labels)
