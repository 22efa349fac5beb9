"""Losses against values computed by hand, torch's own classes and their required properties."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.components.losses.context import Context
from cifar_exp.testing import check_loss

NAMES = sorted(LOSSES)
# Every loss with its defaults, and with other settings.
VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in NAMES] + [
    ("cross_entropy", {"label_smoothing": 0.1}),
    ("focal", {"gamma": 0.5}),
    ("focal", {"gamma": 0.0}),
    ("mse", {"compare": "logits"}),
    ("l1", {"compare": "logits"}),
    ("huber", {"compare": "logits"}),
    ("huber", {"delta": 1.0}),
    ("multi_margin", {"p": 2}),
    ("mse_rescaled", {"k": 5.0, "M": 3.0}),
    ("generalized_cross_entropy", {"q": 1.0}),
    ("generalized_cross_entropy", {"q": 0.01}),
    ("symmetric_cross_entropy", {"alpha": 6.0, "beta": 0.1}),
    ("poly1", {"epsilon": -1.0}),
    ("ldam", {"reweight_from": 0.0, "beta": 0.9}),
    ("logit_adjusted", {"tau": 2.0}),
    ("class_balanced", {"beta": 0.5}),
    ("nce_rce", {"alpha": 10.0, "beta": 0.1}),
    ("taylor_cross_entropy", {"t": 5}),
    ("asymmetric", {"gamma_pos": 0.5, "epsilon": 0.0}),
    ("cross_entropy", {"class_weights": "balanced"}),
    ("ldam", {"class_weights": "balanced"}),
]
every_variant = pytest.mark.parametrize(
    ("name", "given_settings"), VARIANTS, ids=[f"{name}-{given}" for name, given in VARIANTS]
)


def make(name: str, given_settings: dict[str, Any] | None = None) -> Loss:
    return LOSSES[name](**(given_settings or {}))


def batch(images: int = 6, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(images, classes, generator=random, dtype=torch.float64)
    return logits, torch.randint(classes, (images,), generator=random)


def mean(loss: Loss, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss in the first step of a training on these images alone."""
    return loss(logits, labels, Context.of(labels, logits.shape[1]))


def gradient(loss: Loss, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    leaf = logits.detach().requires_grad_()
    return torch.autograd.grad(mean(loss, leaf, labels), leaf)[0]


# At z = 0 with 10 classes: the value, and the norm of the gradient relative to cross-entropy's.
# From the formulas with p = 1/10: cross-entropy's gradient is p - Y, of norm sqrt(0.9); dp_y/dz is
# -p_y (p - Y), so that a function f(p_y) has the relative norm |f'(p_y)| / 10.
AT_ZERO = [
    ("cross_entropy", {}, math.log(10), 1.0),
    ("cross_entropy", {"label_smoothing": 0.1}, math.log(10), 0.9),
    ("focal", {}, 0.81 * math.log(10), (2 * 0.9 * math.log(10) + 0.81 / 0.1) / 10),
    ("mse_rescaled", {}, 0.1, 0.2 / math.sqrt(0.9)),
    ("mse", {"compare": "logits"}, 0.1, 0.2 / math.sqrt(0.9)),
    ("brier", {}, 0.9, 0.2),
    ("mse", {}, 0.09, 0.02),
    ("l1", {}, 0.18, 0.02),
    ("huber", {}, 0.5 * (0.9 - 0.25) + 9 * 0.01 / 2, 0.06),
    ("bce", {}, 10 * math.log(2), math.sqrt(10 * 0.25 / 0.9)),
    ("multi_margin", {}, 0.9, 1.0),
    ("generalized_cross_entropy", {}, (1 - 0.1**0.7) / 0.7, 0.1**0.7),
    ("symmetric_cross_entropy", {}, 0.1 * math.log(10) + 0.9 * math.log(1e4), 1.0210340),
    ("poly1", {}, math.log(10) + 1.8, 1.2),
]


@pytest.mark.parametrize(("name", "given_settings", "value", "relative_norm"), AT_ZERO)
def test_value_and_gradient_at_zero_logits(
    name: str, given_settings: dict[str, Any], value: float, relative_norm: float
) -> None:
    logits, labels = torch.zeros(1, 10, dtype=torch.float64), torch.tensor([3])
    loss = make(name, given_settings)
    assert loss(logits, labels).item() == pytest.approx(value, rel=1e-6)
    norm = gradient(loss, logits, labels).norm().item() / math.sqrt(0.9)
    assert norm == pytest.approx(relative_norm, rel=1e-6)


# Published values with three digits; MSE and L1 are sums over classes, hence the factor 10.
PUBLISHED = {
    "cross_entropy": (1, 2.303, 1.0),
    "focal": (1, 1.865, 1.22),
    "mse_rescaled": (1, 0.100, 0.21),
    "brier": (1, 0.900, 0.20),
    "mse": (10, 0.900, 0.20),
    "l1": (10, 1.800, 0.20),
    "huber": (1, 0.370, 0.06),
    "bce": (1, 6.931, 1.67),
    "multi_margin": (1, 0.900, 1.00),
    "generalized_cross_entropy": (1, 1.144, 0.20),
    "symmetric_cross_entropy": (1, 8.520, 1.02),
    "poly1": (1, 4.103, 1.20),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_defaults_agree_with_the_published_table(name: str) -> None:
    factor, value, relative_norm = PUBLISHED[name]
    logits, labels = torch.zeros(2, 10, dtype=torch.float64), torch.tensor([0, 9])
    assert factor * make(name)(logits, labels).item() == pytest.approx(value, abs=6e-4)
    norm = factor * gradient(make(name), logits[:1], labels[:1]).norm().item() / math.sqrt(0.9)
    assert norm == pytest.approx(relative_norm, abs=6e-3)


def test_cross_entropy_of_the_course_notes() -> None:
    value = make("cross_entropy")(torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([1]))
    assert value.item() == pytest.approx(1.1019, abs=5e-5)


@pytest.mark.parametrize(("name", "value"), [("l1", 0.6667), ("mse", 1.3333)])
def test_distances_of_the_course_notes(name: str, value: float) -> None:
    # The notes compare [1, 2, 3] with [1, 2, 5]. Less [1, 2, 4] from both, the second is a one-hot
    # label, and the distance is the same.
    notes = {"l1": torch.nn.L1Loss(), "mse": torch.nn.MSELoss()}[name]
    given_by_torch = notes(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 5.0]))
    loss = make(name, {"compare": "logits"})(torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([2]))
    assert given_by_torch.item() == pytest.approx(value, abs=5e-5)
    assert loss.item() == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("compare", ["probabilities", "logits"])
def test_distances_equal_those_of_torch(compare: str) -> None:
    logits, labels = batch()
    one_hot = torch.nn.functional.one_hot(labels, 4).double()
    outputs = logits.softmax(1) if compare == "probabilities" else logits
    for name, reference in [("mse", torch.nn.MSELoss()), ("l1", torch.nn.L1Loss())]:
        value = make(name, {"compare": compare})(logits, labels)
        torch.testing.assert_close(value, reference(outputs, one_hot))
    huber = make("huber", {"compare": compare, "delta": 0.3})(logits, labels)
    torch.testing.assert_close(huber, 4 * torch.nn.HuberLoss(delta=0.3)(outputs, one_hot))


def test_losses_equal_those_of_torch() -> None:
    logits, labels = batch()
    nn = torch.nn
    one_hot = nn.functional.one_hot(labels, 4).double()
    assert_close = torch.testing.assert_close
    smoothed = make("cross_entropy", {"label_smoothing": 0.2})(logits, labels)
    assert_close(smoothed, nn.CrossEntropyLoss(label_smoothing=0.2)(logits, labels))
    margin = make("multi_margin", {"p": 2, "margin": 0.7})(logits, labels)
    assert_close(margin, nn.MultiMarginLoss(p=2, margin=0.7)(logits, labels))
    assert_close(make("bce")(logits, labels), 4 * nn.BCEWithLogitsLoss()(logits, one_hot))


def test_limits_and_multiples_of_other_losses() -> None:
    logits, labels = batch()

    def value(name: str, **given_settings: Any) -> float:
        return make(name, given_settings)(logits, labels).item()

    cross_entropy, brier = value("cross_entropy"), value("brier")
    assert value("focal", gamma=0.0) == pytest.approx(cross_entropy)
    assert value("generalized_cross_entropy", q=1e-9) == pytest.approx(cross_entropy, rel=1e-6)
    assert value("generalized_cross_entropy", q=1.0) == pytest.approx(4 / 2 * value("l1"))
    assert value("huber", delta=1.0) == pytest.approx(brier / 2)
    assert value("mse") == pytest.approx(brier / 4)
    assert value("mse_rescaled") == pytest.approx(value("mse", compare="logits"))
    assert value("poly1", epsilon=0.0) == pytest.approx(cross_entropy)
    assert value("symmetric_cross_entropy", alpha=1.0, beta=0.0) == pytest.approx(cross_entropy)


def test_rescaled_square_loss_by_hand() -> None:
    # Label 1: (2 (4 - 3)^2 + 1^2 + 2^2) / 3.
    value = make("mse_rescaled", {"k": 2.0, "M": 3.0})(
        torch.tensor([[1.0, 4, -2]]), torch.tensor([1])
    )
    assert value.item() == pytest.approx(7 / 3)


@every_variant
def test_contract(name: str, given_settings: dict[str, Any]) -> None:
    check_loss(make(name, given_settings))


@every_variant
@pytest.mark.parametrize("size", [60.0, 1e3, 1e4])
def test_extreme_logits_stay_finite(name: str, given_settings: dict[str, Any], size: float) -> None:
    rows = [[1, -1, -1], [-1, 1, 1], [1, 1, 1], [-1, -1, -1], [0, 1, -1], [1, 0, 0]]
    logits = size * torch.tensor(rows, dtype=torch.float32)
    loss = make(name, given_settings)
    for label in range(3):
        labels = torch.full((len(rows),), label)
        assert mean(loss, logits, labels).isfinite()
        assert gradient(loss, logits, labels).isfinite().all()
    probabilities = loss.probabilities(logits)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(rows)))


logit_rows = st.lists(
    st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=5
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(rows=logit_rows, seed=st.integers(0, 1000))
def test_properties(name: str, rows: list[list[float]], seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.tensor(rows, dtype=torch.float64)
    labels = torch.randint(4, (len(rows),), generator=random)
    order = torch.randperm(len(rows), generator=random)
    loss, context = make(name), Context.of(labels, 4)
    value, probabilities = mean(loss, logits, labels), loss.probabilities(logits)

    assert value >= 0 or name == "elr"  # its regularization is the logarithm of at most 1
    torch.testing.assert_close(mean(loss, logits[order], labels[order]), value)
    places = [torch.tensor([i]) for i in range(len(rows))]
    alone = [loss(logits[i], labels[i], replace(context, index=i)) for i in places]
    torch.testing.assert_close(torch.stack(alone).mean(), value)
    classes = torch.randperm(4, generator=random)
    torch.testing.assert_close(mean(loss, logits[:, classes], classes.argsort()[labels]), value)

    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(rows), dtype=torch.float64))
    top = probabilities.gather(1, logits.argmax(1, keepdim=True)).squeeze(1)
    torch.testing.assert_close(top, probabilities.max(1).values)


def test_probabilities_of_one_vs_all_are_scaled_sigmoids() -> None:
    logits, _ = batch()
    sigmoids = torch.sigmoid(logits)
    expected = sigmoids / sigmoids.sum(1, keepdim=True)
    torch.testing.assert_close(make("bce").probabilities(logits), expected)


@pytest.mark.parametrize(
    ("name", "given_settings"),
    [
        ("cross_entropy", {"label_smoothing": 1.0}),
        ("cross_entropy", {"label_smoothing": -0.1}),
        ("focal", {"gamma": -1.0}),
        ("focal", {"gamma": math.inf}),
        ("mse", {"compare": "outputs"}),
        ("huber", {"delta": 0.0}),
        ("multi_margin", {"p": 3}),
        ("generalized_cross_entropy", {"q": 0.0}),
        ("generalized_cross_entropy", {"q": 1.1}),
        ("poly1", {"epsilon": -2.0}),
        ("ldam", {"reweight_from": 1.1}),
        ("class_balanced", {"beta": 1.0}),
        ("taylor_cross_entropy", {"t": 0}),
        ("asymmetric", {"epsilon": 1.0}),
        ("elr", {"beta": 1.0}),
        *[("mse", {"class_weights": w}) for w in ("even", [], [1.0, 0.0], [1.0, "2"], None)],
        *[(name, {"no_such_setting": 1}) for name in NAMES],
    ],
)
def test_bad_settings_are_rejected(name: str, given_settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(name, given_settings)


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_losses_are_described(name: str) -> None:
    description = LOSSES[name].__doc__
    assert description
    assert "Source" in description
    assert "Probabilities:" in description
    assert all(field.description for field in LOSSES[name].model_fields.values())


def test_components_are_named_without_loading_torch() -> None:
    code = """
import sys
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
LOSSES["focal"](gamma=1.0), OPTIMIZERS["sgd"](momentum=0.9)
read_model("resnet18")
assert "torch._C" not in sys.modules and "torchvision.models" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
