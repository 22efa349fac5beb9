"""Predictions of a network on the examples of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """One entry per example, in the order of the split.

    Attributes:
        label: The class of the example; the smallest unsigned type that holds every class.
        predicted: The class of the largest logit, the first of equal ones; of the same type.
        confidence: The probability of the predicted class by the loss's map, float32.
        confidence_scaled: The same after temperature scaling; None if older versions stored it.
    """

    label: npt.NDArray[np.unsignedinteger]
    predicted: npt.NDArray[np.unsignedinteger]
    confidence: npt.NDArray[np.float32]
    confidence_scaled: npt.NDArray[np.float32] | None = None

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each prediction is correct."""
        correct: npt.NDArray[np.bool_] = self.predicted == self.label
        return correct

    def after_scaling(self) -> Self | None:
        """Return the predictions with the confidence after temperature scaling, if it is known."""
        if self.confidence_scaled is None:
            return None
        return replace(self, confidence=self.confidence_scaled, confidence_scaled=None)


def pooled(predictions: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several networks as those of one, without scaled confidences."""
    return Predictions(
        label=np.concatenate([of_network.label for of_network in predictions]),
        predicted=np.concatenate([of_network.predicted for of_network in predictions]),
        confidence=np.concatenate([of_network.confidence for of_network in predictions]),
    )
