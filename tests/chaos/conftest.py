"""Fixtures of the chaos tests: benches, and the results of an undisturbed sweep."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.bench import Outcome, ProcessBench, definition
from tests.once import once

NewBench = Callable[..., ProcessBench]
# With several test processes, the first one, which starts the others, decides.
os.environ["CHAOS_SEED"] = os.environ.get("CHAOS_SEED") or str(time.time_ns() % 100_000)
SEED = int(os.environ["CHAOS_SEED"])


def pytest_report_header() -> str:
    """Print the seed of the random times, so that they can be repeated."""
    return f"CHAOS_SEED={SEED}"


@pytest.fixture
def new_bench(images: Path, tmp_path: Path, store_template: Path) -> NewBench:
    """Return a function that creates a bench of the tiny sweep, or of a variant of it."""

    def make(**changes: str) -> ProcessBench:
        return ProcessBench(tmp_path / "bench", definition(images, **changes), store_template)

    return make


@pytest.fixture(scope="session")
def undisturbed(
    images: Path, tmp_path_factory: pytest.TempPathFactory, store_template: Path
) -> Outcome:
    """The results of the tiny sweep after an undisturbed execution."""

    def fill(folder: Path) -> None:
        bench = ProcessBench(folder / "bench", definition(images), store_template)
        done = bench.run("--workers", "1")
        assert done.returncode == 0, done.stderr
        bench.check()
        (folder / "outcome.json").write_text(json.dumps(bench.outcome()))

    outcome = once(tmp_path_factory, "undisturbed", fill) / "outcome.json"
    loaded: Outcome = json.loads(outcome.read_text())
    return loaded
