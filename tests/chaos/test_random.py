from __future__ import annotations

import random

import pytest

from tests.chaos.bench import EPOCHS, TRAININGS, Outcome
from tests.chaos.conftest import SEED, NewBench
from tests.chaos.monkey import torment


@pytest.mark.chaos
def test_random_blows_change_nothing_and_cost_little(
    new_bench: NewBench, undisturbed: Outcome
) -> None:
    bench = new_bench()
    print(f"CHAOS_SEED={SEED}")
    struck = torment(bench, random.Random(SEED), 5)
    print(f"{dict(struck)}, {bench.epochs_trained()} epochs")
    assert sum(struck.values()) > 0
    bench.check()
    assert bench.outcome() == undisturbed
    assert bench.epochs_trained() <= 1.5 * TRAININGS * EPOCHS
