"""Metrics of a classifier that do not depend on the training loss.

All metrics are computed in float64. C is the number of classes, N the number of examples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cifar_exp.components.metrics.predictions import Predictions

Floats = npt.NDArray[np.float64]
Edges = npt.NDArray[np.float32]

NUM_BINS = 15
# Equal-width bins; in float32 like confidences, so that a confidence of 1/5 lies on an edge
UPPER_EDGES: Edges = (np.arange(1, NUM_BINS + 1) / NUM_BINS).astype(np.float32)
FEWEST_CLASSES_FOR_TOP5 = 6  # with five or fewer classes every label is in the top five


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outputs:
    """The outputs of a network on a split, from which metrics are computed."""

    logits: npt.NDArray[np.floating]
    """N x C."""
    probabilities: npt.NDArray[np.floating]
    """N x C, by the loss's map from the logits; rows sum to 1."""
    labels: npt.NDArray[np.integer]
    """N class indices."""
    predictions: Predictions


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of a classifier, with its computation and its format."""

    compute: Callable[[Outputs], float | None]
    """Returns None if the metric is not defined for the data."""
    label: str
    """The name in tables and figures."""
    description: str
    """One line for `cifar-exp list metrics`."""
    smaller_is_better: bool = False
    percent: bool = True
    """Whether values are shown in %."""

    def text(self, value: float) -> str:
        """Format a value without its unit."""
        return f"{100 * value:.2f}" if self.percent else f"{value:.4f}"

    @property
    def unit(self) -> str:
        """The unit after a value."""
        return " %" if self.percent else ""

    def difference(self, value: float) -> str:
        """Format a difference of two values."""
        return f"{100 * value:.2f} points" if self.percent else f"{value:.4f}"


def accuracy(predictions: Predictions) -> float:
    """Return the fraction of examples whose largest logit is that of their class."""
    return float(predictions.correct.mean())


def top5(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float | None:
    """Return the fraction of examples whose class has one of the five largest logits.

    Of equal logits the first counts as larger, as in a prediction. None for fewer than six classes.

    Args:
        logits: N x C.
        labels: N class indices.
    """
    if logits.shape[1] < FEWEST_CLASSES_FOR_TOP5:
        return None
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    ranked_higher = (logits > own) | ((logits == own) & earlier)
    return float((np.count_nonzero(ranked_higher, axis=1) < 5).mean())


def nll(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Return the mean negative log-likelihood of the classes, in nats.

    A probability of zero is replaced by the smallest normal float64, 2.2e-308, so that
    the result stays finite.

    Args:
        probabilities: N x C, rows that sum to 1.
        labels: N class indices.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1).astype(np.float64)
    return float(-np.log(own.clip(min=np.finfo(np.float64).tiny)).mean())


def brier(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Return the mean Brier score: sum over classes of (p - Y)^2, Y the one-hot label.

    From 0 to 2. Source: Brier 1950, Verification of Forecasts Expressed in Terms of Probability.

    Args:
        probabilities: N x C, rows that sum to 1.
        labels: N class indices.
    """
    residuals = probabilities.astype(np.float64)
    residuals[np.arange(len(labels)), labels] -= 1
    return float(np.square(residuals).sum(axis=1).mean())


def reliability(predictions: Predictions) -> tuple[Floats, Floats, Floats]:
    """Return fraction of examples, mean confidence and accuracy of each bin of `ece`.

    Mean confidence and accuracy of an empty bin are NaN. The sum of fraction x |accuracy - mean
    confidence| over non-empty bins is `ece`.
    """
    bins = _bins(predictions, UPPER_EDGES)
    counts = np.bincount(bins, minlength=NUM_BINS).astype(np.float64)
    per_example = 1 / np.where(counts > 0, counts, np.nan)
    confidence = np.bincount(bins, predictions.confidence.astype(np.float64), NUM_BINS)
    correct = np.bincount(bins, predictions.correct.astype(np.float64), NUM_BINS)
    return counts / counts.sum(), confidence * per_example, correct * per_example


def ece(predictions: Predictions) -> float:
    """Return the expected calibration error over 15 bins of equal width.

    The sum over bins of |accuracy - mean confidence|, weighted by the bin's fraction of examples.
    A bin includes its upper edge but not its lower edge.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    return _calibration_error(predictions, UPPER_EDGES)


def ece_adaptive(predictions: Predictions) -> float:
    """Return the expected calibration error over 15 bins with equal numbers of examples.

    Bin k ends at the confidence of rank ceil(k N / 15). Equal confidences are in the same bin, the
    first that reaches them, so that the result does not depend on the order of the examples. Bins
    may then differ in size or be empty, as with fewer examples than bins.
    Source: Nguyen and O'Connor 2015, Posterior Calibration and Exploratory Analysis for Natural
    Language Processing Models.
    """
    ascending = np.sort(predictions.confidence)
    ranks = np.arange(1, NUM_BINS + 1) * len(ascending)
    last = -(-ranks // NUM_BINS) - 1  # in integers, so that rounding moves no edge
    return _calibration_error(predictions, ascending[last])


def macro_f1(predictions: Predictions, num_classes: int) -> float:
    """Return the mean over all classes of F1 = 2 TP / (2 TP + FP + FN).

    A class that is neither the label nor the prediction of any example counts with F1 = 0, as in
    scikit-learn's f1_score with labels=range(C) and zero_division=0.
    """
    labels = np.bincount(predictions.label, minlength=num_classes)
    predicted = np.bincount(predictions.predicted, minlength=num_classes)
    hits = np.bincount(predictions.label[predictions.correct], minlength=num_classes)
    return float((2 * hits / np.maximum(labels + predicted, 1)).mean())


def _calibration_error(predictions: Predictions, upper_edges: Edges) -> float:
    gaps: Floats = predictions.correct - predictions.confidence.astype(np.float64)
    totals = np.bincount(_bins(predictions, upper_edges), weights=gaps)
    return float(np.abs(totals).sum() / len(gaps))


def _bins(predictions: Predictions, upper_edges: Edges) -> npt.NDArray[np.intp]:
    """Return the bin of each example; bins include their upper edges."""
    return np.searchsorted(upper_edges, predictions.confidence, side="left")


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        label="accuracy",
        description="Fraction of examples whose largest logit is that of their class.",
        compute=lambda o: accuracy(o.predictions),
    ),
    "top5": Metric(
        label="top-5 accuracy",
        description="Fraction of examples whose class is among the five largest logits; "
        "not for fewer than six classes.",
        compute=lambda o: top5(o.logits, o.labels),
    ),
    "macro_f1": Metric(
        label="macro F1",
        description="Mean over classes of the harmonic mean of precision and recall.",
        compute=lambda o: macro_f1(o.predictions, o.logits.shape[1]),
    ),
    "nll": Metric(
        label="NLL",
        description="Mean negative log-likelihood of the classes, in nats; smaller is better.",
        compute=lambda o: nll(o.probabilities, o.labels),
        smaller_is_better=True,
        percent=False,
    ),
    "brier": Metric(
        label="Brier score",
        description="Mean squared distance of the probabilities from the one-hot label, 0 to 2; "
        "smaller is better.",
        compute=lambda o: brier(o.probabilities, o.labels),
        smaller_is_better=True,
        percent=False,
    ),
    "ece": Metric(
        label="ECE",
        description="Expected calibration error over 15 bins of equal width; smaller is better.",
        compute=lambda o: ece(o.predictions),
        smaller_is_better=True,
        percent=False,
    ),
    "ece_adaptive": Metric(
        label="adaptive ECE",
        description="Expected calibration error over 15 bins of equally many examples; smaller is "
        "better.",
        compute=lambda o: ece_adaptive(o.predictions),
        smaller_is_better=True,
        percent=False,
    ),
}
"""All metrics by name, which is also used in MLflow, as in `val/nll` and `test_nll`."""
