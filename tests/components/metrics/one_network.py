"""The metrics of one network, from numpy to a number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from cifar_exp.components.metrics import calibration, metrics
from cifar_exp.components.metrics.calibration import ByConfidence
from cifar_exp.components.metrics.outputs import Outputs
from cifar_exp.components.metrics.predictions import Predictions

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]


def predict(logits: Floats, probabilities: Floats, labels: Integers) -> Predictions:
    [predictions] = Outputs(
        logits=batch(logits.T),
        probabilities=batch(probabilities.T),
        labels=torch.from_numpy(labels),
    ).predictions()
    return predictions


def accuracy(predictions: Predictions) -> float:
    return number(metrics.accuracy(batch(predictions.correct)))


def top5(logits: Floats, labels: Integers) -> float | None:
    value = metrics.top5(batch(logits.T), torch.from_numpy(labels))
    return None if value is None else number(value)


def nll(probabilities: Floats, labels: Integers) -> float:
    return number(metrics.nll(batch(probabilities.T).double(), torch.from_numpy(labels)))


def brier(probabilities: Floats, labels: Integers) -> float:
    return number(metrics.brier(batch(probabilities.T).double(), torch.from_numpy(labels)))


def ece(predictions: Predictions) -> float:
    return number(calibration.ece(by_confidence(predictions)))


def ece_adaptive(predictions: Predictions) -> float:
    return number(calibration.ece_adaptive(by_confidence(predictions)))


def macro_f1(predictions: Predictions, num_classes: int) -> float:
    predicted = batch(predictions.predicted.astype(np.int64))
    labels = torch.from_numpy(predictions.label.astype(np.int64))
    return number(metrics.macro_f1(predicted, labels, num_classes))


def by_confidence(predictions: Predictions) -> ByConfidence:
    return ByConfidence.of(batch(predictions.confidence), batch(predictions.correct))


def batch(values: npt.NDArray[np.generic]) -> torch.Tensor:
    """A batch of one network."""
    return torch.from_numpy(values).unsqueeze(0)


def number(value: torch.Tensor) -> float:
    assert value.dtype == torch.float64
    [of_network] = value.tolist()
    return float(of_network)
