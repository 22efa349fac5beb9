"""Predictions of a network on the examples of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """One entry per example, in the order of the split.

    Attributes:
        label: The class of the example; the smallest unsigned type that holds every class.
        predicted: The class of the largest logit, the first of equal ones; of the same type.
        confidence: The probability of the predicted class by the loss's map, float32.
    """

    label: npt.NDArray[np.unsignedinteger]
    predicted: npt.NDArray[np.unsignedinteger]
    confidence: npt.NDArray[np.float32]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each prediction is correct."""
        correct: npt.NDArray[np.bool_] = self.predicted == self.label
        return correct


def predict(
    logits: npt.NDArray[np.floating],
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
) -> Predictions:
    """Predict the class of the largest logit of each example.

    Logits are used instead of probabilities, as probabilities become equal by rounding earlier.

    Args:
        logits: N x C.
        probabilities: N x C, by the loss's map from these logits.
        labels: N class indices.
    """
    predicted = logits.argmax(axis=1)
    confidence = np.take_along_axis(probabilities, predicted[:, None], axis=1)[:, 0]
    kind = np.min_scalar_type(logits.shape[1] - 1)
    return Predictions(
        label=labels.astype(kind),
        predicted=predicted.astype(kind),
        confidence=confidence.astype(np.float32),
    )
