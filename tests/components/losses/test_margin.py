"""Losses of angles against their formulas, and networks whose outputs are cosines."""

from __future__ import annotations

import math

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import build, read_model
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import read_document
from cifar_exp.sweep.prepare import check_fit
from tests.definitions import changed

COSINES = torch.tensor([[0.6, 0.1, -0.4], [-0.95, 0.3, 0.2]], dtype=torch.float64)
LABELS = torch.tensor([0, 0])


def cross_entropy(scaled: list[float], label: int) -> float:
    return math.log(sum(map(math.exp, scaled))) - scaled[label]


@pytest.mark.parametrize(
    ("name", "lowered"),
    [
        ("cosface", [0.6 - 0.35, -0.95 - 0.35]),
        # The angle of -0.95 is 2.82, and with 0.5 above pi.
        ("arcface", [math.cos(math.acos(0.6) + 0.5), -0.95 - 0.5 * math.sin(0.5)]),
    ],
)
def test_the_margin_is_at_the_label(name: str, lowered: list[float]) -> None:
    loss = LOSSES[name].model_validate({"s": 4.0})
    found = loss.per_image(COSINES, LABELS).tolist()
    expected = [
        cross_entropy([4 * value, *(4 * COSINES[row, 1:]).tolist()], 0)
        for row, value in enumerate(lowered)
    ]
    assert found == pytest.approx(expected, rel=1e-9)
    assert torch.equal(loss.probabilities(COSINES), torch.softmax(4 * COSINES, 1))


def test_without_margin_it_is_cross_entropy() -> None:
    for name in ("cosface", "arcface"):
        loss = LOSSES[name].model_validate({"s": 4.0, "m": 0.0})
        expected = torch.nn.functional.cross_entropy(4 * COSINES, LABELS, reduction="none")
        torch.testing.assert_close(loss.per_image(COSINES, LABELS), expected)


@pytest.mark.parametrize("name", ["lenet", "resnet18", "mlp"])
def test_outputs_of_a_cosine_head_are_cosines(name: str) -> None:
    model = read_model({"type": name, "head": "cosine"})
    shape = {"mean": [0.5] * 3, "std": [0.25] * 3, "size": 16, "num_classes": 5, "seed": 0}
    network = build(model, **shape)  # type: ignore[arg-type]
    images = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8)
    before = network(images)
    assert before.abs().max() <= 1
    *_, weight = network.parameters()
    with torch.no_grad():
        weight.mul_(7)  # its length has no effect
    torch.testing.assert_close(network(images), before)


def test_a_last_layer_that_is_not_linear_is_one_sentence() -> None:
    shape = {"mean": [0.5] * 3, "std": [0.25] * 3, "size": 64, "num_classes": 5, "seed": 0}
    with pytest.raises(ValueError, match='head = "cosine" needs a linear last layer, not Conv2d'):
        build(read_model({"type": "torchvision:squeezenet1_1", "head": "cosine"}), **shape)  # type: ignore[arg-type]


def test_a_network_without_cosines_is_refused(data: Dataset) -> None:
    losses = {"losses": {"arcface": {}}, "search": {"batch_size": [8]}}
    with pytest.raises(DefinitionError, match=r'losses.arcface: .* head = "cosine"'):
        check_fit(read_document(changed(losses), "a.toml"), data)
    cosine = {**losses, "model": {"type": "seed_cnn", "head": "cosine"}}
    check_fit(read_document(changed(cosine), "a.toml"), data)
