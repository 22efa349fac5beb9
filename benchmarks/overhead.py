"""What a trial costs beside its training: the search, the tracking, the model artifact."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import optuna

from benchmarks.asked import sweep_of
from benchmarks.figure import Figure, show
from benchmarks.folder import own_folder
from benchmarks.server import tracking_server
from benchmarks.stopwatch import Lap, Place, Stopwatch
from cifar_exp import tracking
from cifar_exp.sweep import prepare, sweep
from cifar_exp.tracking import Run, Tracker
from cifar_exp.training import loop
from cifar_exp.training.events import Event
from cifar_exp.training.hardware import available_cores

SQLITE_BOUND = 0.25
SERVER_BOUND = 0.6
WARM_UP = 2  # trials: first uses of MLflow's and Optuna's modules
DEFINITION = """
name = "overhead"
dataset = "digits"
model = "seed_cnn"
epochs = 1
search = {{ trials = {trials}, batch_size = [64, 128] }}
confirm = {{ seeds = 1 }}
losses = {{ cross_entropy = {{}} }}
optimizers = {{ sgd = {{ lr = {{ low = 1e-3, high = 1e-2 }} }} }}
"""
PARTS: Mapping[str, Sequence[Place]] = {
    "start the run": [(Tracker, "open_run")],
    "log the data set": [(Run, "log_dataset")],
    "build the network": [(loop, "build_model")],
    "log the epoch": [(Run, "log_epoch")],
    "store the model": [(Run, "log_model")],
    "end the run": [(Run, "end_training")],
    "ask Optuna": [
        (optuna.Study, "ask"),
        (optuna.Trial, "suggest_float"),
        (optuna.Trial, "suggest_categorical"),
    ],
    "tell Optuna": [
        (optuna.Trial, "set_user_attr"),
        (optuna.Trial, "report"),
        (optuna.Trial, "should_prune"),
        (optuna.Study, "tell"),
    ],
}
"""What a trial does beside training; the rest is what no part names."""


def measure(trials: int = 15) -> list[Figure]:
    """Sweep one combination over short trainings, and take the training out of each trial."""
    return [*on_sqlite(trials), *on_server(trials)]


def on_sqlite(trials: int) -> list[Figure]:
    """Measure a trial whose runs go to a database file."""
    with own_folder() as folder:
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        return figures("overhead of a trial", SQLITE_BOUND, folder, uri, trials)


def on_server(trials: int) -> list[Figure]:
    """Measure a trial whose runs go to a tracking server on this machine."""
    with own_folder() as folder, tracking_server(folder) as uri:
        return figures("overhead of a trial, server", SERVER_BOUND, folder, uri, trials)


def figures(name: str, bound: float, folder: Path, uri: str, trials: int) -> list[Figure]:
    """Sweep into one store; return the whole overhead and its parts."""
    watch, training_seconds = _sweep(folder, uri, trials)
    beside = watch.seconds_beside(training_seconds)
    total = Figure(
        name=name,
        value=median(beside),
        unit="s",
        at_most=bound,
        detail=f"median of {len(beside)} trials, {min(beside):.2f} to {max(beside):.2f}; "
        f"training {median(training_seconds):.2f} s",
    )
    return [total, *_breakdown(watch.stopwatch.laps[WARM_UP:], beside)]


class TrialWatch:
    """Follows a sweep, and notes when each trial ends."""

    def __init__(self) -> None:
        self.stopwatch = Stopwatch()
        self.ends: list[float] = []

    def __call__(self, event: Event) -> None:
        """Take the time where a trial has ended; confirmations are not of interest."""
        if event.state is not None and event.training.startswith("trial"):
            self.ends.append(time.perf_counter())
            self.stopwatch.lap()

    def seconds_beside(self, training_seconds: Sequence[float]) -> list[float]:
        """Return what each trial took beside its training, from the end of the one before it."""
        spans = [end - start for start, end in zip(self.ends, self.ends[1:], strict=False)]
        trials = zip(spans, training_seconds[1:], strict=True)
        return [span - trained for span, trained in trials][WARM_UP - 1 :]


def _sweep(folder: Path, uri: str, trials: int) -> tuple[TrialWatch, list[float]]:
    """Run the sweep on new databases; return its watch and the training time of each trial."""
    text = DEFINITION.format(trials=trials)
    asked = sweep_of(text, uri, folder, threads=available_cores())
    watch = TrialWatch()
    with watch.stopwatch.around(PARTS):
        sweep.run(asked, prepare.prepare(asked.experiment), watch)
    return watch, _training_seconds(asked.tracking_uri)


def _training_seconds(tracking_uri: str) -> list[float]:
    """Read each trial's `epoch_seconds` from MLflow; with one epoch it is the whole training."""
    records = tracking.read_records(tracking.connect(tracking_uri), "overhead", kind="trial")
    return [record.metrics["epoch_seconds"] for record in records]


def _breakdown(laps: Sequence[Mapping[str, Lap]], beside: Sequence[float]) -> list[Figure]:
    """Say what each part took of a trial, the dearest first, and what no part explains."""
    parts = sorted((_part(name, laps) for name in PARTS), key=lambda figure: -figure.value)
    rest = [
        total - sum(part.seconds for part in lap.values())
        for total, lap in zip(beside, laps, strict=True)
    ]
    return [*parts, Figure(name="  the rest", value=median(rest), unit="s")]


def _part(name: str, laps: Sequence[Mapping[str, Lap]]) -> Figure:
    taken = [lap.get(name, Lap()) for lap in laps]
    cpu = median(lap.cpu_seconds for lap in taken)
    return Figure(
        name=f"  {name}",
        value=median(lap.seconds for lap in taken),
        unit="s",
        detail=f"{cpu:.3f} CPU s",
    )


if __name__ == "__main__":
    sys.exit(show(measure()))
