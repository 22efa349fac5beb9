"""Scores of a network on one split, with the same metrics for every loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_exp.components.metrics.metrics import METRICS, Outputs
from cifar_exp.components.metrics.predictions import Predictions, predict

if TYPE_CHECKING:
    import torch

    from cifar_exp.components.losses import Loss


@dataclass(frozen=True, slots=True)
class Scores:
    """The metrics on one split, by their names in `METRICS`; undefined ones are omitted."""

    values: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions."""
        return self.values["accuracy"]

    def named(self, prefix: str) -> dict[str, float]:
        """Return the scores by name, with a prefix."""
        return {prefix + name: value for name, value in self.values.items()}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """The scores of a split and the prediction of each example."""

    scores: Scores
    predictions: Predictions


def examine(logits: torch.Tensor, labels: torch.Tensor, loss: Loss) -> Evaluation:
    """Compute the scores and predictions of logits, with the loss's map to probabilities.

    Args:
        logits: N x C on the CPU, float32 or float64, all finite.
        labels: N class indices, int64.
        loss: The loss, used only for its map to probabilities, which is computed in float64.
    """
    raw, targets = logits.numpy(), labels.numpy()
    probabilities = loss.probabilities(logits.double()).numpy()
    predictions = predict(raw, probabilities, targets)
    outputs = Outputs(
        logits=raw, probabilities=probabilities, labels=targets, predictions=predictions
    )
    values = {name: metric.compute(outputs) for name, metric in METRICS.items()}
    scores = Scores({name: value for name, value in values.items() if value is not None})
    return Evaluation(scores=scores, predictions=predictions)
