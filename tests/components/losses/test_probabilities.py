"""The optimum of each loss, and the map from it to the true class probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.components.losses.distance import LEAST_SHARE
from tests.components.losses.optimum import optimum
from tests.components.metrics.simulation import VARIANTS, loss_of

ROUGH = {"l1", "multi_margin"}  # with discontinuous derivatives


def expected(loss: Loss, logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the expected loss of each row over labels with the true probabilities."""
    labels = [torch.full((len(true),), label) for label in range(true.shape[1])]
    return sum(true[:, y[0]] * loss.per_image(logits, y) for y in labels)  # type: ignore[return-value]


def drawn(images: int, classes: int) -> torch.Tensor:
    """Return true probabilities; none of them is almost zero."""
    return torch.from_numpy(np.random.default_rng(0).dirichlet([1.0] * classes, images))


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_other_outputs_have_a_smaller_expected_loss(variant: str) -> None:
    loss, true = loss_of(variant), drawn(30, 4)
    logits = optimum(loss, true)
    smallest = expected(loss, logits, true)
    random = torch.Generator().manual_seed(0)
    for size in (0.01, 0.3, 3.0):
        for _ in range(10):
            other = logits + size * torch.randn(logits.shape, generator=random).double()
            assert (expected(loss, other, true) >= smallest - 1e-9).all()
    if loss.name not in ROUGH:
        leaf = logits.clone().requires_grad_()
        [slope] = torch.autograd.grad(expected(loss, leaf, true).sum(), leaf)
        assert slope.abs().max() < 1e-9


SAME = ("brier", "bce", "cross_entropy", "mse", "mse_rescaled")
INVERTED = [*SAME, "mse, compare = logits", "huber, compare = logits", "mse_rescaled, k = 5, M = 3"]


@pytest.mark.parametrize("variant", INVERTED)
def test_the_map_of_the_optimum_gives_the_true_probabilities(variant: str) -> None:
    loss, true = loss_of(variant), drawn(200, 4)
    true = true[(true > LEAST_SHARE).all(dim=1)]
    torch.testing.assert_close(loss.probabilities(optimum(loss, true)), true, rtol=1e-9, atol=1e-9)


weights = st.lists(st.floats(0.05, 1), min_size=3, max_size=3)


@settings(max_examples=20, deadline=None)
@given(weights, st.floats(0.2, 20), st.floats(0.5, 20))
def test_the_rescaled_loss_is_minimised_numerically(true: list[float], k: float, M: float) -> None:  # noqa: N803
    loss = LOSSES["mse_rescaled"].model_validate({"k": k, "M": M})
    shares = torch.tensor([true], dtype=torch.float64) / sum(true)

    def mean_loss(logits: Any) -> float:
        return expected(loss, torch.from_numpy(logits).unsqueeze(0), shares).item()

    found = minimize(mean_loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    mapped = loss.probabilities(torch.from_numpy(found.x).unsqueeze(0))
    torch.testing.assert_close(mapped, shares, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", INVERTED)
def test_no_class_has_probability_zero_for_any_outputs(variant: str) -> None:
    outputs = 100 * torch.randn(50, 10, generator=torch.Generator().manual_seed(0)).double()
    probabilities = loss_of(variant).probabilities(outputs)
    if "logits" in variant or "rescaled" in variant:
        assert probabilities.min() >= LEAST_SHARE / 10 / 10  # at most 10 classes share the total
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(50).double())
