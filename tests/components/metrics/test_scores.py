"""The yardsticks of every loss, against scikit-learn on probabilities worked out in numpy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    top_k_accuracy_score,
)

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.metrics.metrics import AS_TRAINED, BY_FREQUENCY, METRICS, SCALED
from cifar_exp.components.metrics.scores import examine
from tests import tiny

Floats = npt.NDArray[np.float64]
HIGHEST_NLL = 1022 * math.log(2)  # of the smallest normal float64
HIGHEST = dict.fromkeys(AS_TRAINED, 1.0) | {"brier": 2.0, "nll": HIGHEST_NLL}


def batch(num_examples: int, num_classes: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(num_examples, num_classes, generator=random)
    return logits, torch.randint(num_classes, (num_examples,), generator=random)


@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0, 1e37])
@pytest.mark.parametrize("num_classes", [2, 10])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_all_yardsticks_are_finite_and_in_range(name: str, num_classes: int, scale: float) -> None:
    logits, labels = batch(200, num_classes, scale)
    scores = examine(logits, labels, LOSSES[name]()).scores
    measured = scores.named("")
    assert measured.keys() == HIGHEST.keys() - ({"top5"} if num_classes == 2 else set())
    for yardstick, value in measured.items():
        assert 0 <= value <= HIGHEST[yardstick] * (1 + 1e-12), yardstick


def normalised(weights: Floats) -> Floats:
    scaled: Floats = weights / weights.sum(axis=1, keepdims=True)
    return scaled


def softmax(logits: Floats) -> Floats:
    powers: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    return normalised(powers)


def scaled_sigmoids(logits: Floats) -> Floats:
    sigmoids: Floats = 1 / (1 + np.exp(-logits))
    return normalised(sigmoids)


def clipped(logits: Floats) -> Floats:
    """The square loss's: the logits, of which those up to 0 count a thousandth."""
    return normalised(np.clip(logits, 0.001, 1))


SETTINGS = {name: {"s": 2.0} for name in ("arcface", "cosface", "ldam")}
"""At their own scales scikit-learn clips the NLL."""
MAPS = dict.fromkeys(LOSSES, softmax) | {
    "bce": scaled_sigmoids,
    "mse_rescaled": clipped,
    **dict.fromkeys(SETTINGS, lambda logits: softmax(2 * logits)),
}


def reference(
    logits: Floats, probabilities: Floats, labels: npt.NDArray[np.int64]
) -> dict[str, float]:
    """All but the adaptive calibration error, by scikit-learn."""
    classes = range(probabilities.shape[1])
    predicted, confidence = logits.argmax(axis=1), probabilities.max(axis=1)
    accuracies, means = calibration_curve(predicted == labels, confidence, n_bins=15)
    counts, _ = np.histogram(confidence, bins=15, range=(0, 1))
    return {
        "accuracy": accuracy_score(labels, predicted),
        "nll": log_loss(labels, probabilities),
        "top5": top_k_accuracy_score(labels, logits, k=5),
        "brier": brier_score_loss(labels, probabilities, scale_by_half=False),
        "ece": np.average(np.abs(accuracies - means), weights=counts[counts > 0]),
        "macro_f1": f1_score(labels, predicted, labels=classes, average="macro", zero_division=0),
    }


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_scores_are_those_of_the_losss_own_probabilities(name: str) -> None:
    logits, labels = batch(500, 10, 2.0)
    outputs = logits.double().numpy()
    expected = reference(outputs, MAPS[name](outputs), labels.numpy())
    loss = LOSSES[name].model_validate(SETTINGS.get(name, {}))
    measured = examine(logits, labels, loss).scores.named("")
    adaptive = measured.pop("ece_adaptive")
    assert measured == pytest.approx(expected, abs=1e-7)  # confidences are float32
    for exact in ("nll", "brier"):  # and all else is float64
        assert measured[exact] == pytest.approx(expected[exact], rel=1e-13)
    # Any bins show at least the gap of the whole.
    predictions = examine(logits, labels, loss).predictions
    assert adaptive >= abs(predictions.confidence.mean() - predictions.correct.mean()) - 1e-7


@pytest.mark.parametrize("name", ["focal", "bce", "mse_rescaled"])
def test_scores_after_scaling_are_those_of_powers_of_the_probabilities(name: str) -> None:
    logits, labels = batch(500, 10, 2.0)
    outputs = logits.double().numpy()
    powers = normalised(MAPS[name](outputs) ** (1 / 1.7))
    expected = reference(outputs, powers, labels.numpy())
    measured = examine(logits, labels, LOSSES[name](), 1.7).scores.values
    for score in ("nll", "brier", "ece"):
        assert measured[SCALED[score]] == pytest.approx(expected[score], abs=1e-7)


def test_predictions_are_in_the_order_of_the_examples() -> None:
    logits, labels = batch(50, 4, 2.0)
    predictions = examine(logits, labels, LOSSES["mse"]()).predictions
    assert predictions.label.tolist() == labels.tolist()
    assert predictions.predicted.tolist() == logits.argmax(dim=1).tolist()
    highest = softmax(logits.double().numpy()).max(axis=1)
    assert predictions.confidence.tolist() == pytest.approx(highest.tolist(), rel=1e-6)


def test_scores_are_named_as_in_mlflow() -> None:
    scores = tiny.scores(accuracy=0.75)
    expected = {f"test_{name}": 0.5 for name in METRICS} | {"test_accuracy": 0.75}
    assert scores.named("test_") == expected


@pytest.mark.parametrize("name", sorted(METRICS.keys() - BY_FREQUENCY.keys()))
def test_which_way_is_better_and_what_is_a_share(name: str) -> None:
    logits, labels = 20 * torch.eye(10), torch.arange(10)
    right, wrong = (
        examine(logits, given, LOSSES["cross_entropy"](), 1.0).scores.values[name]
        for given in (labels, labels.roll(1))
    )
    metric = METRICS[name]
    assert right != wrong
    assert metric.smaller_is_better == (right < wrong)
    if name in {"accuracy", "top5", "macro_f1"}:
        shown = (metric.text(0.123), metric.unit, metric.difference(0.123))
        assert shown == ("12.30", " %", "12.30 points")
    else:
        assert (metric.text(0.123), metric.unit, metric.difference(0.123)) == (
            "0.1230",
            "",
            "0.1230",
        )
