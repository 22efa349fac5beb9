"""Temperatures against scipy, values worked by hand, and losses at their own optimum."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.components.metrics import temperature
from cifar_exp.components.metrics.metrics import SCALED
from cifar_exp.components.metrics.probabilities import probabilities_of
from cifar_exp.components.metrics.scores import examine, temperatures_of
from tests.components.metrics import simulation
from tests.components.metrics.simulation import VARIANTS, Images, loss_of


def batch(
    num_networks: int, num_examples: int, num_classes: int, scale: float = 3.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know something of the labels, and the labels."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(num_classes, (num_examples,), generator=random)
    logits = torch.randn(num_networks, num_examples, num_classes, generator=random).double()
    logits[:, torch.arange(num_examples), labels] += 1
    return scale * logits, labels


@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 20, 3), (5, 1000, 10)])
@pytest.mark.parametrize("name", ["cross_entropy", "bce", "mse_rescaled"])
def test_the_temperature_is_the_one_that_scipy_finds(
    shape: tuple[int, int, int], name: str
) -> None:
    logits, labels = batch(*shape)
    losses = [LOSSES[name]()] * len(logits)
    found = temperatures_of(logits, labels, losses)
    assert found == temperatures_of(logits, labels, losses)
    logarithms = probabilities_of(logits.mT, losses).mT.log().numpy()
    num_examples = len(labels)
    for network, fitted in enumerate(found):

        def nll(log_temperature: float, rows: Any = logarithms[network]) -> float:
            """Of the examples, and of one more whose label is spread over all classes."""
            scaled = log_softmax(rows / np.exp(log_temperature), axis=1)
            own = scaled[np.arange(num_examples), labels.numpy()]
            return float(-(own.sum() + scaled.mean()) / (num_examples + 1))

        ends = math.log(temperature.LOWEST), math.log(temperature.HIGHEST)
        best = minimize_scalar(nll, bounds=ends, method="bounded", options={"xatol": 1e-9})
        assert fitted == pytest.approx(math.exp(best.x), rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 20), st.sampled_from([1, 7, 300]))
def test_a_factor_of_the_logits_is_one_of_the_temperature(factor: float, num_examples: int) -> None:
    logits, labels = batch(2, num_examples, 5)
    losses = [CrossEntropy()] * 2
    expected = [factor * value for value in temperatures_of(logits, labels, losses)]
    assert temperatures_of(factor * logits, labels, losses) == pytest.approx(expected, rel=1e-5)


def test_a_network_without_an_error_is_not_sure() -> None:
    """With N examples of two classes, the label's probability is that of N + 1/2 of N + 1."""
    logits = torch.tensor([[3.0, 0.0]] * 9).unsqueeze(0)
    [found] = temperatures_of(logits, torch.zeros(9, dtype=torch.int64), [CrossEntropy()])
    assert found == pytest.approx(3 / math.log(9.5 / 0.5), rel=1e-5)


@pytest.mark.parametrize(("label", "expected"), [(0, temperature.HIGHEST), (1, 0.0)])
def test_a_network_that_knows_nothing_has_equal_probabilities(label: int, expected: float) -> None:
    """Always wrong: any difference of probabilities is too large; all equal: nothing to fit."""
    logits = torch.tensor([[0.0, 3.0 if expected else 0.0]] * 9).unsqueeze(0)
    labels = torch.full((9,), label)
    [found] = temperatures_of(logits, labels, [CrossEntropy()])
    assert not expected or found == pytest.approx(expected, rel=1e-5)
    scores = examine(logits[0], labels, CrossEntropy(), found).scores.values
    assert scores["nll_scaled"] == pytest.approx(math.log(2), abs=2e-3)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_scaling_keeps_the_predictions_and_helps_where_it_is_fitted(name: str) -> None:
    logits, labels = batch(1, 500, 10, scale=40.0)
    loss = LOSSES[name]()
    [found] = temperatures_of(logits, labels, [loss])
    raw, scaled = (examine(logits[0], labels, loss, each) for each in (None, found))
    assert scaled.temperature == found
    assert not set(SCALED.values()) & raw.scores.values.keys()
    assert raw.scores.values.items() <= scaled.scores.values.items()
    assert scaled.scores.values["nll_scaled"] < raw.scores.values["nll"] + 1e-3
    after = scaled.predictions.after_scaling()
    assert after is not None
    assert after.predicted.tolist() == raw.predictions.predicted.tolist()
    assert raw.predictions.after_scaling() is None


def test_a_temperature_of_one_changes_nothing() -> None:
    logits, labels = batch(1, 200, 4)
    for loss in (LOSSES["bce"](), LOSSES["mse_rescaled"](), CrossEntropy()):
        scores = examine(logits[0], labels, loss, 1.0).scores.values
        for name, after in SCALED.items():
            assert scores[after] == pytest.approx(scores[name], abs=1e-6)


# At the optimum of each loss, by how much NLL and ECE may exceed those of the true probabilities.
# docs/method.md has the reasons.
ABOVE = {
    "huber": (0.10, 0.07),
    "l1": (0.65, 0.02),
    "focal": (0.03, 0.06),
    "symmetric_cross_entropy": (0.13, 0.11),
    "poly1": (0.02, 0.04),
    "multi_margin": (0.13, 0.06),
    "cross_entropy, label_smoothing = 0.1": (0.04, 0.05),
    "l1, compare = logits": (0.75, 0.02),
}
ALMOST_NOTHING = (0.006, 0.01)


@cache
def images() -> tuple[Images, Images]:
    random = np.random.default_rng(0)
    return Images.draw(random, 300, 20, 10), Images.draw(random, 300, 40, 10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loss_at_its_optimum_is_close_to_the_truth_after_scaling(variant: str) -> None:
    val, test = images()
    found = simulation.scores(loss_of(variant), val, test)
    truth = simulation.oracle(test)
    above_nll, above_ece = ABOVE.get(variant, ALMOST_NOTHING)
    assert found["nll_scaled"] - truth["nll"] < above_nll
    assert found["ece_scaled"] - truth["ece"] < above_ece
    assert found["nll_scaled"] < found["nll"] + 2e-3
