"""Random misfortune: a sweep is struck again and again until it has come to its end.

`python -m tests.chaos.monkey MINUTES [SEED]` repeats that for so long, and prints what was struck,
how many epochs were trained for how many that count, and whether every ranking was the same.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from tests import tiny
from tests.chaos.bench import EPOCHS, TRAININGS, Bench, definition, processes_of, wait_until

SECONDS_OF_OUTAGE = 3.0
MOST_WORKERS_KILLED = 2  # of one sweep: a training that crashes three times is given up
Blow = Callable[[Bench, "subprocess.Popen[str]"], None]


def kill_worker(_: Bench, process: subprocess.Popen[str]) -> None:
    """Kill the youngest of the workers, if there is one."""
    listed = subprocess.run(
        ["pgrep", "-n", "-f", "-P", str(process.pid), "spawn_main"],
        capture_output=True,
        text=True,
        check=False,
    )
    for pid in listed.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


def lock_store(bench: Bench, _: subprocess.Popen[str]) -> None:
    """Lock MLflow's database for some seconds, as a slow disk or another program does."""
    with closing(sqlite3.connect(bench.folder / "mlflow.db", timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(SECONDS_OF_OUTAGE)
        connection.rollback()


BLOWS: Mapping[str, Blow] = {
    "kill -9 of a worker": kill_worker,
    "kill -9 of the parent": lambda _, process: os.kill(process.pid, signal.SIGKILL),
    "kill -9 of all": lambda _, process: os.killpg(process.pid, signal.SIGKILL),
    "SIGTERM": lambda _, process: os.kill(process.pid, signal.SIGTERM),
    "Ctrl-C": lambda _, process: os.killpg(process.pid, signal.SIGINT),
    "outage": lock_store,
}
RARE = {"kill -9 of a worker"}
DEADLY = {"kill -9 of the parent", "kill -9 of all", "SIGTERM", "Ctrl-C"}


def torment(bench: Bench, rng: random.Random, blows: int) -> Counter[str]:
    """Run a sweep to its end through so many blows, each after a random number of epochs.

    It is started again as often as it was ended. Returns how often it was struck by what.
    """
    bench.environment["CHAOS_SECONDS"] = "0.1"
    struck: Counter[str] = Counter()
    process = bench.start("--workers", "2")
    for _ in range(blows):
        wait_for_epochs(bench, process, rng.randint(1, 5))
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is not None:
            break
        name = rng.choice([n for n in BLOWS if n not in RARE or struck[n] < MOST_WORKERS_KILLED])
        BLOWS[name](bench, process)
        struck[name] += 1
        if name in DEADLY:
            end(process)
            process = bench.start("--workers", "2")
    end(process)
    assert process.returncode == 0, f"the last execution ended with {process.returncode}"
    return struck


def wait_for_epochs(bench: Bench, process: subprocess.Popen[str], number: int) -> None:
    """Wait until so many epochs more have been trained, or the sweep has come to its end."""
    before = bench.epochs_trained()
    wait_until(lambda: bench.epochs_trained() >= before + number or process.poll() is not None, 120)


def end(process: subprocess.Popen[str]) -> None:
    """Wait for the end of a sweep and of all of its processes."""
    _, errors = process.communicate(timeout=240)
    assert "Traceback" not in errors, errors
    wait_until(lambda: not processes_of(process.pid), 10)


def main(minutes: float, seed: int) -> None:
    """Torment sweeps for so many minutes."""
    deadline = time.monotonic() + minutes * 60
    rng = random.Random(seed)
    struck: Counter[str] = Counter()
    trained = sweeps = equal = 0
    with tempfile.TemporaryDirectory() as folder:
        images = tiny.write_images(Path(folder) / "images")
        text = definition(images)
        undisturbed = Bench(Path(folder) / "undisturbed", text)
        assert undisturbed.run("--workers", "1").returncode == 0
        expected = (undisturbed.results(), undisturbed.ranking())
        while time.monotonic() < deadline:
            bench = Bench(Path(folder) / str(sweeps), text)  # MLflow holds old databases open
            struck += torment(bench, rng, blows=8)
            bench.check()
            sweeps += 1
            trained += bench.epochs_trained()
            equal += (bench.results(), bench.ranking()) == expected
            shutil.rmtree(bench.folder)
            print(f"{sweeps} sweeps, {equal} as if undisturbed, {trained} epochs", flush=True)
    print(f"seed {seed}, {minutes:g} min: {sweeps} sweeps, {equal} of them as if undisturbed")
    print(", ".join(f"{name}: {count}" for name, count in sorted(struck.items())))
    needed = sweeps * TRAININGS * EPOCHS
    print(f"epochs trained: {trained}, needed: {needed} ({trained / max(needed, 1):.2f}x)")
    sys.exit(0 if equal == sweeps > 0 else 1)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 100_000)
