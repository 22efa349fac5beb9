from __future__ import annotations

import random

import pytest

from tests.chaos.bench import EPOCHS, TRAININGS, Outcome
from tests.chaos.conftest import SEED, NewBench
from tests.chaos.monkey import torment


@pytest.mark.chaos
def test_random_faults_change_no_result_and_repeat_few_epochs(
    new_bench: NewBench, undisturbed: Outcome
) -> None:
    bench = new_bench()
    print(f"CHAOS_SEED={SEED}")
    counts = torment(bench, random.Random(SEED), 5)
    print(f"{dict(counts)}, {bench.epochs_trained()} epochs")
    assert sum(counts.values()) > 0
    bench.check()
    assert bench.outcome() == undisturbed
    assert bench.epochs_trained() <= 1.5 * TRAININGS * EPOCHS
