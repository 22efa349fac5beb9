"""Temperature scaling: one number per network, which removes the scale of a loss's logits.

A loss can be at its optimum although its probabilities are too high or too low, as its map from
logits to probabilities is a convention. Scaling replaces ln p by ln p / T and normalises. T = 1
leaves the probabilities of any map as they are, and the order of the classes never changes.
"""

from __future__ import annotations

import math
import sys

from cifar_exp.system.lazy_import import torch

LOWEST, HIGHEST = 1e-3, 1e3
"""Bounds of a temperature."""
NUM_HALVINGS = 24  # of the interval between their logarithms, to 1e-6


def scaled(probabilities: torch.Tensor, temperatures: torch.Tensor) -> torch.Tensor:
    """Return the probabilities after temperature scaling: softmax(ln p / T) (M x C x N, float64).

    A probability of zero is replaced as in `nll`.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.

    Args:
        probabilities: M x C x N, float64, by each loss's own map.
        temperatures: M, float64.
    """
    return torch.softmax(_logarithms(probabilities) / temperatures[:, None, None], dim=1)


def fitted(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the temperature of each network with the smallest NLL (M, float64).

    NLL is that of the N examples and one more, whose label is spread evenly over the classes and
    whose probabilities are like those of the others: the label has weight N / (N + 1). Without it,
    the temperature of a network without an error on few examples would be zero, and its NLL on
    other examples almost unlimited. NLL is convex in 1 / T, so the sign of its slope tells on which
    side of T the minimum lies, and the interval is halved a fixed number of times.
    Sources: Guo et al. 2017; Platt 1999, Probabilistic Outputs for Support Vector Machines (the
    additional example).

    Args:
        probabilities: M x C x N, float64, by each loss's own map.
        labels: N class indices.
    """
    logarithms = _logarithms(probabilities)
    target = _mean_of_labels(logarithms, labels)
    low = torch.full_like(target, math.log(LOWEST))
    high = torch.full_like(target, math.log(HIGHEST))
    for _ in range(NUM_HALVINGS):
        middle = (low + high) / 2
        weights = torch.softmax(logarithms * (-middle).exp()[:, None, None], dim=1)
        mean = weights.mul_(logarithms).sum(dim=1).mean(dim=1)
        too_low = mean > target
        low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
    return ((low + high) / 2).exp()


def _logarithms(probabilities: torch.Tensor) -> torch.Tensor:
    return probabilities.clamp(min=sys.float_info.min).log()


def _mean_of_labels(logarithms: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the mean of ln p_y over the examples and the additional one (M)."""
    num_networks, _, num_examples = logarithms.shape
    own = logarithms.gather(1, labels.expand(num_networks, 1, -1)).mean(dim=(1, 2))
    even = logarithms.mean(dim=1).mean(dim=1)
    share = 1 / (num_examples + 1)
    return (1 - share) * own + share * even
