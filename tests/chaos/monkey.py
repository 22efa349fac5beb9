"""Random faults: they are injected into a sweep repeatedly, until the sweep has ended.

`python -m tests.chaos.monkey MINUTES [SEED]` does that for the given time with the quickstart,
scaled up and recorded on a server, into which faults are injected as well. It prints the number of
faults of each kind, the number of epochs trained and needed, and how many rankings were the same.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import tomli_w

from benchmarks.server import Server
from tests.chaos.bench import ProcessBench, children, processes_of
from tests.chaos.template import ROOT, Program
from tests.waiting import wait_until

SECONDS_OF_OUTAGE = 3.0
SECONDS_FROZEN = 20.0
TRIALS, SEEDS = 12, 5
QUICKSTART_TRAININGS = 4 * (TRIALS + SEEDS)
PATIENCE = 1800  # seconds, for an undisturbed sweep on a slow machine
MOST_EPOCHS = 30  # between two faults in the quickstart
MOST_WORKERS_KILLED = 2  # per sweep: a training that crashes three times fails
Blow = Callable[[ProcessBench, Program], None]


def kill_worker(_: ProcessBench, process: Program) -> None:
    """Kill the latest worker, if there is one: workers are children of the fork server."""
    for child in children(process.pid):
        for worker in children(child)[-1:]:
            os.kill(worker, signal.SIGKILL)


def lock_store(bench: ProcessBench, _: Program) -> None:
    """Lock MLflow's database for some seconds, like a slow disk or another program."""
    with closing(sqlite3.connect(bench.folder / "mlflow.db", timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(SECONDS_OF_OUTAGE)
        connection.rollback()


PROCESS_BLOWS: Mapping[str, Blow] = {
    "kill -9 of a worker": kill_worker,
    "kill -9 of the parent": lambda _, process: os.kill(process.pid, signal.SIGKILL),
    "kill -9 of all": lambda _, process: os.killpg(process.pid, signal.SIGKILL),
    "SIGTERM": lambda _, process: os.kill(process.pid, signal.SIGTERM),
    "Ctrl-C": lambda _, process: os.killpg(process.pid, signal.SIGINT),
}
BLOWS = {**PROCESS_BLOWS, "locked store": lock_store}
RARE = {"kill -9 of a worker"}
DEADLY = {"kill -9 of the parent", "kill -9 of all", "SIGTERM", "Ctrl-C"}


def torment(
    bench: ProcessBench,
    rng: random.Random,
    most: int,
    blows: Mapping[str, Blow] = BLOWS,
    most_epochs: int = 5,
) -> Counter[str]:
    """Run a sweep to its end and inject faults, each after a random number of epochs.

    After a fault that ends the sweep, it is started again.

    Args:
        bench: The sweep.
        rng: Chooses the faults and their times.
        most: The largest number of faults.
        blows: The faults to choose from.
        most_epochs: The largest number of epochs between two faults.

    Returns:
        The number of faults of each kind.
    """
    bench.environment["CHAOS_SECONDS"] = "0.1"
    counts: Counter[str] = Counter()
    process = bench.start("--workers", "2")
    for _ in range(most):
        wait_for_epochs(bench, process, rng.randint(1, most_epochs))
        time.sleep(rng.uniform(0, 0.3))
        if process.poll() is not None:
            break
        name = rng.choice([n for n in blows if n not in RARE or counts[n] < MOST_WORKERS_KILLED])
        blows[name](bench, process)
        counts[name] += 1
        if name in DEADLY:
            end(process)
            process = bench.start("--workers", "2")
    end(process)
    assert process.poll() == 0, f"the last execution ended with {process.poll()}"
    return counts


def wait_for_epochs(bench: ProcessBench, process: Program, number: int) -> None:
    """Wait until this many more epochs are trained, or the sweep has ended."""
    before = bench.epochs_trained()
    wait_until(lambda: bench.epochs_trained() >= before + number or process.poll() is not None, 120)


def end(process: Program) -> None:
    """Wait for the end of a sweep and of all of its processes."""
    process.wait(240)
    wait_until(lambda: not processes_of(process.pid), 10)
    _, errors = process.communicate()
    assert "Traceback" not in errors, errors


@contextmanager
def served(folder: Path, text: str) -> Iterator[tuple[ProcessBench, Mapping[str, Blow]]]:
    """Yield a bench that records on an MLflow server, and the faults of this server."""
    folder.mkdir()
    server = Server(folder)
    server.start()

    def kill_server(_: ProcessBench, __: Program) -> None:
        server.signal(signal.SIGKILL)
        server.stop()
        time.sleep(SECONDS_OF_OUTAGE)
        server.start()

    def freeze_server(_: ProcessBench, __: Program) -> None:
        server.signal(signal.SIGSTOP)
        time.sleep(SECONDS_FROZEN)
        server.signal(signal.SIGCONT)

    bench = ProcessBench(folder / "bench", text, uri=server.uri, num_trainings=QUICKSTART_TRAININGS)
    bench.environment["CIFAR_EXP_OUTBOX"] = str(folder / "outbox")
    try:
        yield bench, {"kill -9 of the server": kill_server, "frozen server": freeze_server}
    finally:
        server.signal(signal.SIGCONT)
        server.stop()


def quickstart() -> str:
    """Return the quickstart with more trials and seeds."""
    text = (ROOT / "experiments" / "quickstart.toml").read_text()
    definition = tomllib.loads(text)
    definition["search"]["trials"], definition["confirm"]["seeds"] = TRIALS, SEEDS
    return tomli_w.dumps({**definition, "name": "tiny"})


def main(minutes: float, seed: int) -> None:
    """Inject faults into sweeps of the scaled-up quickstart for some minutes."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    trained = sweeps = equal = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        undisturbed = ProcessBench(
            folder / "undisturbed", quickstart(), num_trainings=QUICKSTART_TRAININGS
        )
        assert undisturbed.run("--workers", "2", patience=PATIENCE).returncode == 0
        undisturbed.check()
        expected = undisturbed.outcome()
        enough = undisturbed.epochs_trained()
        deadline = time.monotonic() + minutes * 60
        while time.monotonic() < deadline:
            with served(folder / str(sweeps), quickstart()) as (bench, of_server):
                blows = {**PROCESS_BLOWS, **of_server}
                counts += torment(bench, rng, sys.maxsize, blows, MOST_EPOCHS)
                deliver(bench)
                bench.check()
                sweeps += 1
                trained += bench.epochs_trained()
                equal += bench.outcome() == expected
            print(f"{sweeps} sweeps, {equal} equal to undisturbed, {trained} epochs", flush=True)
    print(f"seed {seed}, {minutes:g} min: {sweeps} sweeps, {equal} equal to an undisturbed one")
    print(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
    needed = enough * sweeps
    print(f"epochs trained: {trained}, needed: {needed} ({trained / max(needed, 1):.2f}x)")
    sys.exit(0 if equal == sweeps > 0 else 1)


def deliver(bench: ProcessBench) -> None:
    """Send what was not delivered to the server by the end of the sweep."""
    sending = bench.command("deliver", "--tracking-uri", bench.tracking_uri)
    _, errors = sending.communicate()
    assert sending.poll() == 0, errors


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 100_000)
