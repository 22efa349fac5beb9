"""What is computed stays what it was: see `tests/golden.py`."""

from __future__ import annotations

import json

import pytest

from cifar_exp.losses import LOSSES
from cifar_exp.optimizers import OPTIMIZERS
from tests.golden import FILE, LR, NUM_STEPS, losses

GOLDEN: dict[str, list[float]] = json.loads(FILE.read_text())
RELATIVE = 1e-5
COARSE = {"muon": 1e-3}
"""Muon multiplies in bfloat16, of which processors round the sums in different orders."""


def test_every_loss_with_every_optimizer_is_there() -> None:
    assert list(GOLDEN) == [f"{loss}+{optimizer}" for loss in LOSSES for optimizer in OPTIMIZERS]
    assert {len(values) for values in GOLDEN.values()} == {NUM_STEPS}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_losses_are_those_of_the_file(loss: str, optimizer: str) -> None:
    expected = pytest.approx(GOLDEN[f"{loss}+{optimizer}"], rel=COARSE.get(optimizer, RELATIVE))
    assert losses(loss, optimizer) == expected


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_slightly_larger_step_would_be_noticed(loss: str, optimizer: str) -> None:
    expected = pytest.approx(GOLDEN[f"{loss}+{optimizer}"], rel=COARSE.get(optimizer, RELATIVE))
    assert losses(loss, optimizer, lr=1.05 * LR) != expected
