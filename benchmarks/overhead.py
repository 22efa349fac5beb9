"""Measure the overhead of a trial: time of the trainer, and processor time of the recorder."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from benchmarks.asked import sweep_of
from benchmarks.figure import Figure, show
from benchmarks.folder import own_folder
from benchmarks.server import tracking_server
from cifar_exp import tracking
from cifar_exp.sweep import prepare, sweep
from cifar_exp.sweep.events import Event, Notice
from cifar_exp.sweep.recording.recorder import Recorder

TRAINER_BOUND = 0.05
RECORDER_BOUND = 0.12
WARM_UP = 3  # trials: the first use of MLflow's and Optuna's modules
DEFINITION = """
name = "{name}"
dataset = "digits"
model = "seed_cnn"
epochs = 1
search = {{ trials = {trials}, batch_size = [64, 128] }}
confirm = {{ seeds = 1 }}
losses = {{ cross_entropy = {{}} }}
optimizers = {{ sgd = {{ lr = {{ low = 1e-3, high = 1e-2 }} }} }}
"""


def measure(trials: int = 30) -> list[Figure]:
    """Run sweeps of one combination with short trainings; subtract the training from each trial."""
    return [*on_sqlite(trials), *on_server(trials)]


def on_sqlite(trials: int) -> list[Figure]:
    """Measure a trial whose runs are written to a database file."""
    with own_folder() as folder:
        return figures("", folder, f"sqlite:///{folder / 'mlflow.db'}", trials)


def on_server(trials: int) -> list[Figure]:
    """Measure a trial whose runs are written to a tracking server on this machine."""
    with own_folder() as folder, tracking_server(folder) as uri:
        return figures(", server", folder, uri, trials)


def figures(store: str, folder: Path, uri: str, trials: int) -> list[Figure]:
    """Run a sweep with one store, after a small warm-up sweep.

    Args:
        store: Suffix of the names of the figures.
        folder: The folder of the studies.
        uri: The MLflow store.
        trials: The number of measured trials.
    """
    _sweep("warm-up", folder, uri, WARM_UP)
    ends, cpu_seconds, recorded_seconds = _sweep("overhead", folder, uri, trials)
    beside = _seconds_beside(ends, _training_seconds(uri))
    return [
        Figure(
            name=f"trainer beside training{store}",
            value=median(beside),
            unit="s",
            at_most=TRAINER_BOUND,
            detail=f"median of {len(beside)} trials, {min(beside):.3f} to {max(beside):.3f}",
        ),
        Figure(
            name=f"recorder, of each training{store}",
            value=cpu_seconds / (trials + 1),
            unit="CPU s",
            at_most=RECORDER_BOUND,
            detail=f"{trials + 1} trainings in {recorded_seconds:.1f} s",
        ),
    ]


def _sweep(name: str, folder: Path, uri: str, trials: int) -> tuple[list[float], float, float]:
    """Run a sweep; return the end of each trial, and processor and wall time of the recorder.

    Its trainer has one thread, so that on two cores the recorder has a core of its own.
    """
    request = sweep_of(DEFINITION.format(name=name, trials=trials), uri, folder)
    ends: list[float] = []

    def watch(event: Event | Notice) -> None:
        if isinstance(event, Event) and event.state is not None and event.kind == "trial":
            ends.append(time.perf_counter())

    cpu_seconds = wall_seconds = 0.0
    run = Recorder.run

    def timed(recorder: Recorder, *given: Any) -> None:
        nonlocal cpu_seconds, wall_seconds
        cpu, wall = time.process_time(), time.perf_counter()
        run(recorder, *given)
        cpu_seconds, wall_seconds = time.process_time() - cpu, time.perf_counter() - wall

    with patch.object(Recorder, "run", timed):
        sweep.run(request, prepare.prepare(request.experiment), watch)
    return ends, cpu_seconds, wall_seconds


def _training_seconds(tracking_uri: str) -> list[float]:
    """Read `epoch_seconds` of each trial from MLflow; with one epoch it is the whole training."""
    records = tracking.read_records(tracking.connect(tracking_uri), "overhead", kind="trial")
    return [record.metrics["epoch_seconds"] for record in records]


def _seconds_beside(ends: Sequence[float], training_seconds: Sequence[float]) -> list[float]:
    """Return the time of each trial without its epochs, from the end of the previous trial."""
    spans = [end - start for start, end in pairwise(ends)]
    return [span - trained for span, trained in zip(spans, training_seconds[1:], strict=True)]


if __name__ == "__main__":
    sys.exit(show(measure()))
