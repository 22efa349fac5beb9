"""Measure how long `cifar-exp compare` takes on a store of thousands of runs."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from benchmarks.figure import Figure, show
from benchmarks.folder import own_folder
from benchmarks.large_store import NAME, grow, write_first

COMMAND = str(Path(sysconfig.get_path("scripts")) / "cifar-exp")
BOUND = 6.0
GROWTH_BOUND = 2.2
TRIALS, SEEDS = 45, 5
COMBINATIONS = 40


def measure(
    combinations: int = COMBINATIONS, trials: int = TRIALS, seeds: int = SEEDS, runs: int = 3
) -> list[Figure]:
    """Compare the runs of a store, and of the same store with twice as many trainings."""
    with own_folder() as folder:
        store = folder / "mlflow.db"
        write_first(store, trials, seeds)
        times = []
        for count in (combinations, 2 * combinations):
            grow(store, count)
            times.append(min(_seconds(store) for _ in range(runs)))
    trainings = combinations * (trials + seeds)
    return [
        Figure(
            name=f"compare, {trainings:,} trainings",
            value=times[0],
            unit="s",
            at_most=BOUND,
            detail=f"whole process, the fastest of {runs}; {combinations} combinations",
        ),
        Figure(
            name=f"compare, {2 * trainings:,} against {trainings:,}",
            value=times[1] / times[0],
            unit="x",
            at_most=GROWTH_BOUND,
            detail=f"{times[1]:.2f} against {times[0]:.2f} s",
        ),
    ]


def _seconds(store: Path) -> float:
    """Run the comparison in a new process; return its wall time."""
    environment = ["--tracking-uri", f"sqlite:///{store}"]
    started = time.perf_counter()
    subprocess.run([COMMAND, "compare", NAME, *environment], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(show(measure()))
