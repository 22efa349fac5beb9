"""Scores of networks on one split, with the same metrics for every loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_exp.components.metrics.metrics import METRICS
from cifar_exp.components.metrics.outputs import Outputs, outputs_of
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.components.metrics.temperature import fitted
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
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
    temperature: float | None = None
    """The temperature of the scaled scores; None if there are none."""

    def named(self, prefix: str) -> dict[str, float]:
        """Return the scores by their names after a prefix, and the temperature."""
        fitted = {} if self.temperature is None else {"temperature": self.temperature}
        return {**self.scores.named(prefix), **fitted}


def scores_of(logits: torch.Tensor, labels: torch.Tensor, losses: Sequence[Loss]) -> list[Scores]:
    """Compute the scores of M networks on the device of their logits; they are copied once.

    All scores of a network with a logit that is not finite are NaN.

    Args:
        logits: M x N x C, float32 or float64.
        labels: N class indices, int64, on the same device.
        losses: The loss of each network, used only for its map to probabilities, in float64.
    """
    return _scores([measure(outputs) for outputs in outputs_of(logits, labels, losses)])


def temperatures_of(
    logits: torch.Tensor, labels: torch.Tensor, losses: Sequence[Loss]
) -> list[float]:
    """Fit the temperature of each of M networks to a split, see `fitted`; args as in `scores_of`.

    The split must not be the one that is then scored.
    """
    parts = outputs_of(logits, labels, losses)
    temperatures: list[float] = torch.cat(
        [fitted(outputs.probabilities, labels) for outputs in parts]
    ).tolist()
    return temperatures


def evaluations_of(
    logits: torch.Tensor,
    labels: torch.Tensor,
    losses: Sequence[Loss],
    temperatures: Sequence[float] | None = None,
) -> list[Evaluation]:
    """Compute the scores and predictions of M networks, see `scores_of`.

    With temperatures, the scores after temperature scaling are included.
    """
    known = [None] * len(losses) if temperatures is None else temperatures
    on_device = None
    if temperatures is not None:
        on_host = torch.tensor(temperatures, dtype=torch.float64)
        on_device = on_host.to(logits.device, non_blocking=True)
    measured, predictions = [], []
    for outputs in outputs_of(logits, labels, losses, on_device):
        measured.append(measure(outputs))
        predictions.extend(outputs.predictions())
    return [
        Evaluation(scores=scores, predictions=of_network, temperature=temperature)
        for scores, of_network, temperature in zip(
            _scores(measured), predictions, known, strict=True
        )
    ]


def examine(
    logits: torch.Tensor, labels: torch.Tensor, loss: Loss, temperature: float | None = None
) -> Evaluation:
    """Compute the scores and predictions of one network.

    Args:
        logits: N x C, float32 or float64, all finite.
        labels: N class indices, int64.
        loss: The loss, used only for its map to probabilities, which is computed in float64.
        temperature: Its temperature, for the scores after temperature scaling.
    """
    temperatures = None if temperature is None else [temperature]
    [evaluation] = evaluations_of(logits.unsqueeze(0), labels, [loss], temperatures)
    return evaluation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """The metrics of M networks on their device."""

    names: Sequence[str]
    """The metrics that are defined for the data, K."""
    values: torch.Tensor
    """M x K, float64; NaN for a network with a logit that is not finite."""


def measure(outputs: Outputs) -> Measured:
    """Compute all metrics without waiting for them."""
    values = {name: metric.compute(outputs) for name, metric in METRICS.items()}
    defined = {name: value for name, value in values.items() if value is not None}
    table = torch.stack(list(defined.values()), dim=1)
    return Measured(names=list(defined), values=table + outputs.zero_if_finite.unsqueeze(1))


def _scores(parts: Sequence[Measured]) -> list[Scores]:
    """Return the scores of all networks; they are copied to the host at once."""
    rows = torch.cat([part.values for part in parts]).tolist()
    return [Scores(dict(zip(parts[0].names, row, strict=True))) for row in rows]
