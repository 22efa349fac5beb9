"""What a network reaches on one split, in the same yardsticks whatever loss it was trained with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from cifar_exp.components.metrics import metrics
from cifar_exp.components.metrics.predictions import Predictions, predict

if TYPE_CHECKING:
    import torch

    from cifar_exp.components.losses import Loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The yardsticks on one split: each is the function of its name in `metrics`.

    The names of the fields are those in MLflow too, as in `val/nll` and `test_nll`.
    """

    accuracy: float
    nll: float
    top5: float | None
    """None for data with fewer than six classes."""
    brier: float
    ece: float
    ece_adaptive: float
    macro_f1: float

    def named(self, prefix: str) -> dict[str, float]:
        """Return the scores that there are by their names, with `prefix` before each."""
        return {prefix + name: value for name, value in asdict(self).items() if value is not None}


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
        loss: Used for its map alone.
    """
    outputs, truth = logits.numpy(), labels.numpy()
    probabilities = loss.probabilities(logits.double()).numpy()
    predictions = predict(outputs, probabilities, truth)
    scores = Scores(
        accuracy=metrics.accuracy(predictions),
        nll=metrics.nll(probabilities, truth),
        top5=metrics.top5(outputs, truth),
        brier=metrics.brier(probabilities, truth),
        ece=metrics.ece(predictions),
        ece_adaptive=metrics.ece_adaptive(predictions),
        macro_f1=metrics.macro_f1(predictions, outputs.shape[1]),
    )
    return Evaluation(scores=scores, predictions=predictions)
