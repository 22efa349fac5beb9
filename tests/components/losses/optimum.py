"""The outputs that minimise the expected loss of an image, given its class probabilities.

Derived by hand from the formulas of the losses. A loss of the softmax p is a sum over classes of
functions of p_k; at its minimum their derivatives are equal. In the formulas, e_k is the true
probability of class k.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from cifar_exp.components.losses import Loss

SMALLEST = 1e-12  # lower bound of a probability
HALVINGS = 45
Optimum = Callable[[torch.Tensor, Any], torch.Tensor]


def optimum(loss: Loss, true: torch.Tensor) -> torch.Tensor:
    """Return optimal logits (N x C) for true class probabilities (N x C, float64)."""
    if loss.name in RAW and getattr(loss, "compare", "logits") == "logits":
        return RAW[loss.name](true, loss)
    return SOFTMAX[loss.name](true, loss).clamp(min=SMALLEST).log()


def _root(
    increasing: Callable[[torch.Tensor], torch.Tensor], low: torch.Tensor, high: torch.Tensor
) -> torch.Tensor:
    """Return where an increasing function of each entry is zero."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = increasing(middle) < 0
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return high


def _of_sum_one(
    at_level: Callable[[torch.Tensor], torch.Tensor], true: torch.Tensor
) -> torch.Tensor:
    """Return p with sum 1, where p increases with a level that is the same for all classes."""
    ends = (torch.full_like(true[:, :1], end) for end in (-100.0, 100.0))
    level = _root(lambda found: at_level(found).sum(dim=1, keepdim=True) - 1, *ends)
    return at_level(level)


def _smoothed(true: torch.Tensor, loss: Any) -> torch.Tensor:
    share = float(loss.label_smoothing)
    return (1 - share) * true + share / true.shape[1]


def _generalized(true: torch.Tensor, loss: Any) -> torch.Tensor:
    """The p at which all e_k p_k^(q - 1) are equal."""
    powers = true ** (1 / (1 - float(loss.q)))
    return powers / powers.sum(dim=1, keepdim=True)


def _with_linear_term(true: torch.Tensor, weight: float) -> torch.Tensor:
    """The p at which all e_k (1 / p_k + weight) are equal."""

    def at_level(level: torch.Tensor) -> torch.Tensor:
        rest = -level - weight * true
        return torch.where(rest > 0, true / rest, math.inf).clamp(max=1)

    return _of_sum_one(at_level, true)


def _focal(true: torch.Tensor, loss: Any) -> torch.Tensor:
    """The p at which all derivatives of -e_k (1 - p_k)^gamma ln p_k are equal."""

    gamma = float(loss.gamma)

    def slope(p: torch.Tensor) -> torch.Tensor:
        return true * (gamma * (1 - p) ** (gamma - 1) * p.log() - (1 - p) ** gamma / p)

    def at_level(level: torch.Tensor) -> torch.Tensor:
        ends = (torch.full_like(true, end) for end in (math.log(SMALLEST), 0.0))
        return _root(lambda log_p: slope(log_p.exp()) - level, *ends).exp()

    return _of_sum_one(at_level, true)


def _huber(true: torch.Tensor, loss: Any) -> torch.Tensor:
    """The p at which all (1 - e_k) h'(p_k) - e_k h'(1 - p_k) are equal."""
    assert loss.delta == 0.5

    def at_level(level: torch.Tensor) -> torch.Tensor:
        low, high = (level + true / 2) / (1 - true), 1 - ((1 - true) / 2 - level) / true
        return torch.where(low < 0.5, low, high).clamp(0, 1)

    return _of_sum_one(at_level, true)


def _most_probable(true: torch.Tensor, _: Any) -> torch.Tensor:
    return torch.zeros_like(true).scatter(1, true.argmax(dim=1, keepdim=True), 1.0)


def _huber_raw(true: torch.Tensor, loss: Any) -> torch.Tensor:
    """The output at which (1 - e) h'(z) = e h'(1 - z)."""
    assert loss.delta == 0.5
    return torch.where(true < 0.5, true / (1 - true) / 2, 1 - (1 - true) / true / 2)


def _multi_margin(true: torch.Tensor, loss: Any) -> torch.Tensor:
    """The best of all outputs whose differences are multiples of the margin.

    Source: Wang and Scott 2020, Weston-Watkins Hinge Loss and Ordered Partitions: one of these is
    optimal.
    """
    assert loss.p == 1
    descending, order = true.sort(dim=1, descending=True)
    steps = list(itertools.product([0, 1], repeat=true.shape[1] - 1))
    below = torch.tensor([[0, *itertools.accumulate(each)] for each in steps]).double()
    violations = (1 + below[:, :, None] - below[:, None, :]).clamp(min=0).sum(dim=2) - 1
    best = (descending @ violations.T).argmin(dim=1)
    return torch.zeros_like(true).scatter(1, order, -loss.margin * below[best])


SOFTMAX: Mapping[str, Optimum] = {
    "cross_entropy": _smoothed,
    "focal": _focal,
    "generalized_cross_entropy": _generalized,
    "symmetric_cross_entropy": lambda true, loss: _with_linear_term(
        true, loss.beta * math.log(1e4) / loss.alpha
    ),
    "poly1": lambda true, loss: _with_linear_term(true, loss.epsilon),
    "brier": lambda true, _: true,
    "mse": lambda true, _: true,
    "l1": _most_probable,
    "huber": _huber,
}
"""Optimal p of losses of the softmax."""
RAW: Mapping[str, Optimum] = {
    "mse": lambda true, _: true,
    "mse_rescaled": lambda true, loss: true * loss.k * loss.M / (1 + (loss.k - 1) * true),
    "huber": _huber_raw,
    "l1": lambda true, _: (true > 0.5).double(),
    "bce": lambda true, _: true.clamp(SMALLEST, 1 - SMALLEST).logit(),
    "multi_margin": _multi_margin,
}
"""Optimal logits of losses of raw logits."""
