from __future__ import annotations

import json

import pytest

from cifar_exp.components.optimizers import OPTIMIZERS
from tests.golden import FILE, losses_of, pairs

GOLDEN: dict[str, list[float]] = json.loads(FILE.read_text())
BOUNDS = {"muon": 1e-3}
"""Muon orthogonalizes in bfloat16, whatever its input; all others compute in float64."""


def test_every_loss_with_every_optimizer_is_in_the_file() -> None:
    assert sorted(GOLDEN) == sorted(pairs())


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_the_first_losses_are_those_of_the_file(optimizer: str) -> None:
    stored = {pair: values for pair, values in GOLDEN.items() if pair.endswith(f"+{optimizer}")}
    bound = BOUNDS.get(optimizer, 1e-6)
    for pair, values in stored.items():
        assert losses_of(*pair.split("+")) == pytest.approx(values, rel=bound), pair
