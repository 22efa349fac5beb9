"""Accuracy by the frequency of the class in the training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cifar_exp.components.metrics.predictions import Predictions

MANY, FEW = 100, 20
"""Classes with more than MANY training images are frequent, with fewer than FEW rare."""
LARGEST = 1280
"""Images of the largest class for which these limits were chosen; they grow with a larger one."""
NAMES = ("many", "medium", "few")


@dataclass(frozen=True, kw_only=True, slots=True)
class Frequencies:
    """The frequency of each class.

    Attributes:
        of_class: C names, `many`, `medium` or `few`.
        many: Number of training images that a frequent class exceeds.
        few: Number of training images that a rare class has not.
    """

    of_class: NDArray[np.str_]
    many: float
    few: float

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the frequencies."""
        return NAMES


def frequencies(counts: NDArray[np.int64]) -> Frequencies:
    """Return the frequency of each class: many, medium or few training images.

    More than 100 images are many, fewer than 20 are few, as in Liu et al. 2019, Large-Scale
    Long-Tailed Recognition in an Open World, whose largest class has 1,280 images. If the largest
    class has more, both limits are multiplied by its number / 1,280.

    Args:
        counts: C; the number of training images of each class.
    """
    scale = max(1.0, float(counts.max()) / LARGEST)
    many, few = MANY * scale, FEW * scale
    of_class = np.where(counts > many, "many", np.where(counts < few, "few", "medium"))
    return Frequencies(of_class=of_class, many=many, few=few)


def accuracy_by_frequency(
    predictions: Predictions, counts: NDArray[np.int64]
) -> Mapping[str, float]:
    """Return the accuracy of the examples of frequent, medium and rare classes, by metric name.

    A frequency without an example is left out.

    Args:
        predictions: The predictions of a network.
        counts: C; the number of training images of each class.
    """
    groups: NDArray[Any] = frequencies(counts).of_class[predictions.label.astype(np.int64)]
    return {
        f"accuracy_{name}": float(predictions.correct[groups == name].mean())
        for name in NAMES
        if (groups == name).any()
    }
