"""A sweep that decides on its number of studies is killed at random times."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.chaos.bench import Outcome, ProcessBench, definition
from tests.chaos.conftest import SEED
from tests.chaos.monkey import DEADLY, PROCESS_BLOWS, torment

LEAST = 3 * 2 * (2 + 1)
"""The number of trainings before the first look: two studies for each of three combinations."""
DECIDED = {
    "search": 'trials = 2\nstudies = 2\nsampler = "tpe"\npruner = "none"\nbatch_size = [8]',
    "seeds": '1\nuntil = "decided"\nmost = 4',
    "losses": "mse = {}",
    "optimizers": "\n".join(
        f'{name} = {{ type = "sgd", momentum = 0.9, lr = {lr} }}'
        for name, lr in (
            ("one", "{ low = 0.02, high = 0.1 }"),
            ("other", "{ low = 0.02, high = 0.1 }"),
            ("slow", "1e-7"),
        )
    ),
}


def undisturbed(folder: Path, text: str, store_template: Path) -> tuple[Outcome, int]:
    """Return the results of an undisturbed execution, and its number of trainings."""
    bench = ProcessBench(folder, text, store_template)
    done = bench.run("--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "may be the best" in done.stdout
    return json.loads(json.dumps(bench.outcome())), len(bench.trainings())


@pytest.mark.chaos
def test_a_sweep_that_is_killed_at_random_decides_the_same(
    images: Path, tmp_path: Path, store_template: Path
) -> None:
    text = definition(images, **DECIDED)
    expected, num_trainings = undisturbed(tmp_path / "undisturbed", text, store_template)
    assert num_trainings > LEAST  # the first look added trainings
    bench = ProcessBench(tmp_path / "bench", text, store_template, num_trainings=num_trainings)
    deadly = {name: blow for name, blow in PROCESS_BLOWS.items() if name in DEADLY}
    print(f"CHAOS_SEED={SEED}")
    counts = torment(bench, random.Random(SEED), 6, deadly, most_epochs=15)
    assert sum(counts.values()) > 0
    bench.check()
    assert bench.outcome() == expected
