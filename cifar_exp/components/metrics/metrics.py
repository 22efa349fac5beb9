"""Metrics of classifiers that do not depend on the training loss, of M networks at once.

Each metric is a function of tensors on any device that returns one float64 per network (M). It
neither waits for the device nor depends on the values of tensors in its steps, so that a GPU is
given all metrics at once. M is the number of networks, N of examples, C of classes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cifar_exp.components.metrics.calibration import ece, ece_adaptive
from cifar_exp.components.metrics.exact import counts, fixed_point, ratio, units_of_one
from cifar_exp.components.metrics.outputs import Outputs
from cifar_exp.system.lazy_import import torch

FEWEST_CLASSES_FOR_TOP5 = 6  # with five or fewer classes every label is in the top five


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of classifiers, with its computation and its format."""

    compute: Callable[[Outputs], torch.Tensor | None]
    """Returns one float64 per network (M), or None if the metric is not defined for the data."""
    label: str
    """The name in tables and figures."""
    description: str
    """One line for `cifar-exp list metrics`."""
    smaller_is_better: bool = False
    percent: bool = True
    """Whether values are shown in %."""
    of_examples: bool = False
    """Whether it is a fraction of the examples, so that their sampling error is binomial."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """The smallest and the largest possible value."""
    of_probabilities: bool = False
    """Whether values depend on the probabilities, so that temperature scaling changes them."""

    def text(self, value: float) -> str:
        """Format a value without its unit."""
        return f"{100 * value:.2f}" if self.percent else f"{value:.4f}"

    @property
    def unit(self) -> str:
        """The unit after a value."""
        return " %" if self.percent else ""

    @property
    def range(self) -> float:
        """The largest possible difference of two values."""
        return self.bounds[1] - self.bounds[0]

    def difference(self, value: float) -> str:
        """Format a difference of two values."""
        return f"{100 * value:.2f} points" if self.percent else f"{value:.4f}"


def accuracy(correct: torch.Tensor) -> torch.Tensor:
    """Return the fraction of correct predictions (M).

    Args:
        correct: M x N, whether the largest logit is that of the class.
    """
    return ratio(correct.sum(dim=-1), correct.shape[-1])


def top5(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
    """Return the fraction of examples whose class has one of the five largest logits (M).

    Of equal logits the first counts as larger, as in a prediction. None for fewer than six classes.

    Args:
        logits: M x C x N.
        labels: N class indices.
    """
    num_classes = logits.shape[1]
    if num_classes < FEWEST_CLASSES_FOR_TOP5:
        return None
    own = logits.gather(1, _index(logits, labels))
    earlier = torch.arange(num_classes, device=labels.device).unsqueeze(1) < labels
    ranked_higher = (logits > own) | ((logits == own) & earlier)
    return accuracy(ranked_higher.sum(dim=1, dtype=torch.int32) < 5)


def nll(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean negative log-likelihood of the classes, in nats (M).

    A probability of zero is replaced by the smallest normal float64, 2.2e-308, so that
    the result stays finite.

    Args:
        probabilities: M x C x N, float64; those of an example sum to 1.
        labels: N class indices.
    """
    own = probabilities.gather(1, _index(probabilities, labels))
    return -own.clamp(min=sys.float_info.min).log().mean(dim=(1, 2))


def brier(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean Brier score: sum over classes of (p - Y)^2, Y the one-hot label (M).

    From 0 to 2. Source: Brier 1950, Verification of Forecasts Expressed in Terms of Probability.

    Args:
        probabilities: M x C x N, float64; those of an example sum to 1.
        labels: N class indices.
    """
    index = _index(probabilities, labels)
    residuals = probabilities.scatter(1, index, probabilities.gather(1, index) - 1)
    return residuals.square_().sum(dim=1).mean(dim=1)


def macro_f1(predicted: torch.Tensor, labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return the mean over all classes of F1 = 2 TP / (2 TP + FP + FN) (M).

    A class that is neither the label nor the prediction of any example counts with F1 = 0, as in
    scikit-learn's f1_score with labels=range(C) and zero_division=0.

    Args:
        predicted: M x N class indices.
        labels: N class indices.
        num_classes: C.
    """
    every = torch.ones_like(predicted)
    of_predictions = counts(predicted, num_classes, every)
    of_labels = counts(labels.unsqueeze(0), num_classes, every[:1])
    hits = counts(predicted, num_classes, (predicted == labels).long())
    f1 = (2 * hits).double() / (of_predictions + of_labels).clamp(min=1)
    return ratio(fixed_point(f1).sum(dim=-1), num_classes * units_of_one(num_classes))


def _index(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the labels as an index into the classes of values (M x C x N): M x 1 x N."""
    return labels.expand(len(values), 1, -1)


AS_TRAINED: Mapping[str, Metric] = {
    "accuracy": Metric(
        label="accuracy",
        description="Fraction of examples whose largest logit is that of their class.",
        compute=lambda o: accuracy(o.correct),
        of_examples=True,
    ),
    "top5": Metric(
        label="top-5 accuracy",
        description="Fraction of examples whose class is among the five largest logits; "
        "not for fewer than six classes.",
        compute=lambda o: top5(o.logits, o.labels),
        of_examples=True,
    ),
    "macro_f1": Metric(
        label="macro F1",
        description="Mean over classes of the harmonic mean of precision and recall.",
        compute=lambda o: macro_f1(o.predicted, o.labels, o.num_classes),
    ),
    "nll": Metric(
        label="NLL",
        description="Mean negative log-likelihood of the classes, in nats; smaller is better.",
        compute=lambda o: nll(o.probabilities, o.labels),
        smaller_is_better=True,
        percent=False,
        bounds=(0.0, math.inf),
        of_probabilities=True,
    ),
    "brier": Metric(
        label="Brier score",
        description="Mean squared distance of the probabilities from the one-hot label, 0 to 2; "
        "smaller is better.",
        compute=lambda o: brier(o.probabilities, o.labels),
        smaller_is_better=True,
        percent=False,
        bounds=(0.0, 2.0),
        of_probabilities=True,
    ),
    "ece": Metric(
        label="ECE",
        description="Expected calibration error over 15 bins of equal width; smaller is better.",
        compute=lambda o: ece(o.by_confidence),
        smaller_is_better=True,
        percent=False,
        of_probabilities=True,
    ),
    "ece_adaptive": Metric(
        label="adaptive ECE",
        description="Expected calibration error over 15 bins of equally many examples; smaller is "
        "better.",
        compute=lambda o: ece_adaptive(o.by_confidence),
        smaller_is_better=True,
        percent=False,
        of_probabilities=True,
    ),
}
"""The metrics by name, of the probabilities by the loss's own map from logits."""


def _after_scaling(metric: Metric) -> Metric:
    """Return the metric of the probabilities after temperature scaling."""
    return replace(
        metric,
        compute=lambda o: None if o.scaled is None else metric.compute(o.scaled),
        label=f"{metric.label} (scaled)",
        description=f"{metric.label} after temperature scaling, in confirmations only; "
        f"{'smaller' if metric.smaller_is_better else 'larger'} is better.",
    )


SCALED: Mapping[str, str] = {
    name: f"{name}_scaled" for name, metric in AS_TRAINED.items() if metric.of_probabilities
}
"""The name after temperature scaling of each metric that it changes."""
BY_FREQUENCY: Mapping[str, Metric] = {
    f"accuracy_{name}": Metric(
        label=f"accuracy of classes with {name} images",
        description=f"Accuracy of the classes with {text} training images, in confirmations with "
        "class imbalance only.",
        compute=lambda _: None,  # it needs the training images, see `accuracy_by_frequency`
    )
    for name, text in (("many", "many"), ("medium", "neither many nor few"), ("few", "few"))
}
"""The metrics of classes by their frequency in the training images."""
METRICS: Mapping[str, Metric] = {
    **AS_TRAINED,
    **{scaled: _after_scaling(AS_TRAINED[name]) for name, scaled in SCALED.items()},
    **BY_FREQUENCY,
}
"""All metrics by name, which is also used in MLflow, as in `val/nll` and `test_nll`."""
