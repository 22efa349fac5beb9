"""What a network reaches on one split, by the same metrics whatever loss it was trained with."""

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
    """The metrics on one split, by their names in `METRICS`; None is left out."""

    values: Mapping[str, float]

    @property
    def accuracy(self) -> float:
        """The share of examples whose class was predicted."""
        return self.values["accuracy"]

    def named(self, prefix: str) -> dict[str, float]:
        """Return the scores by their names, with `prefix` before each."""
        return {prefix + name: value for name, value in self.values.items()}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """The scores of a split, and what was said of each of its examples."""

    scores: Scores
    predictions: Predictions


def examine(logits: torch.Tensor, labels: torch.Tensor, loss: Loss) -> Evaluation:
    """Score logits against labels, with the loss's map from logits to probabilities.

    Args:
        logits: N x C on the CPU, float32 or float64, all finite.
        labels: N class indices, int64.
        loss: Used for its map alone, which is computed in float64.
    """
    raw, truth = logits.numpy(), labels.numpy()
    probabilities = loss.probabilities(logits.double()).numpy()
    predictions = predict(raw, probabilities, truth)
    outputs = Outputs(
        logits=raw, probabilities=probabilities, labels=truth, predictions=predictions
    )
    found = {name: metric.compute(outputs) for name, metric in METRICS.items()}
    scores = Scores({name: value for name, value in found.items() if value is not None})
    return Evaluation(scores=scores, predictions=predictions)
