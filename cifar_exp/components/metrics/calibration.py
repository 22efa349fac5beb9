"""Calibration: whether predictions of some confidence are as often correct."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from cifar_exp.components.metrics.exact import fixed_point, ratio, units_of_one
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.system.lazy_import import torch

Floats = npt.NDArray[np.float64]

NUM_BINS = 15
# Equal-width bins; in float32 like confidences, so that a confidence of 1/5 lies on an edge
UPPER_EDGES: npt.NDArray[np.float32] = (np.arange(1, NUM_BINS + 1) / NUM_BINS).astype(np.float32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ByConfidence:
    """The predictions of M networks on N examples in ascending order of their confidence."""

    confidence: torch.Tensor
    """M x N, float32, ascending."""
    gaps: torch.Tensor
    """M x (N + 1): sum of correct - confidence of the first 0, 1, ..., N, in `fixed_point`."""

    @classmethod
    def of(cls, confidence: torch.Tensor, correct: torch.Tensor) -> Self:
        """Sort predictions.

        Args:
            confidence: M x N, float32, from 0 to 1.
            correct: M x N, whether the prediction is correct.
        """
        ascending, order = confidence.sort(dim=-1)
        gaps = correct.gather(-1, order).double() - ascending
        sums = fixed_point(gaps).cumsum(dim=-1)
        return cls(confidence=ascending, gaps=torch.nn.functional.pad(sums, (1, 0)))


def ece(predictions: ByConfidence) -> torch.Tensor:
    """Return the expected calibration error over 15 bins of equal width (M).

    The sum over bins of |accuracy - mean confidence|, weighted by the bin's fraction of examples.
    A bin includes its upper edge but not its lower edge.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    edges = torch.from_numpy(UPPER_EDGES).to(predictions.confidence.device, non_blocking=True)
    return _calibration_error(predictions, edges.expand(len(predictions.confidence), NUM_BINS))


def ece_adaptive(predictions: ByConfidence) -> torch.Tensor:
    """Return the expected calibration error over 15 bins with equal numbers of examples (M).

    Bin k ends at the confidence of rank ceil(k N / 15). Equal confidences are in the same bin, the
    first that reaches them, so that the result does not depend on the order of the examples. Bins
    may then differ in size or be empty, as with fewer examples than bins.
    Source: Nguyen and O'Connor 2015, Posterior Calibration and Exploratory Analysis for Natural
    Language Processing Models.
    """
    num_examples = predictions.confidence.shape[-1]
    # In integers, so that rounding moves no edge
    last = [-(-rank * num_examples // NUM_BINS) - 1 for rank in range(1, NUM_BINS + 1)]
    index = torch.tensor(last).to(predictions.confidence.device, non_blocking=True)
    return _calibration_error(predictions, predictions.confidence.index_select(-1, index))


def reliability(predictions: Predictions) -> tuple[Floats, Floats, Floats]:
    """Return fraction of examples, mean confidence and accuracy of each bin of `ece`.

    Mean confidence and accuracy of an empty bin are NaN. The sum of fraction x |accuracy - mean
    confidence| over non-empty bins is `ece`.
    """
    bins = np.searchsorted(UPPER_EDGES, predictions.confidence, side="left")
    counts = np.bincount(bins, minlength=NUM_BINS).astype(np.float64)
    per_example = 1 / np.where(counts > 0, counts, np.nan)
    confidence = np.bincount(bins, predictions.confidence.astype(np.float64), NUM_BINS)
    correct = np.bincount(bins, predictions.correct.astype(np.float64), NUM_BINS)
    return counts / counts.sum(), confidence * per_example, correct * per_example


def _calibration_error(predictions: ByConfidence, upper_edges: torch.Tensor) -> torch.Tensor:
    """Return the sum over bins of |sum of gaps| / N (M).

    Args:
        predictions: The predictions.
        upper_edges: M x bins, float32, ascending; bins include their upper edges.
    """
    num_examples = predictions.confidence.shape[-1]
    ends = torch.searchsorted(predictions.confidence, upper_edges.contiguous(), right=True)
    from_start = predictions.gaps.gather(-1, ends)
    of_bins = from_start.diff(dim=-1, prepend=predictions.gaps[:, :1])
    return ratio(of_bins.abs().sum(dim=-1), num_examples * units_of_one(num_examples))
