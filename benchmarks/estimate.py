"""Compare the time estimated by `cifar-exp plan` with the actual time of the sweep."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure, show
from benchmarks.startup import COMMAND
from cifar_exp import experiment
from cifar_exp.sweep import plan, prepare
from cifar_exp.training.hardware import allotment

LOW, HIGH = 0.75, 1.25
DEFINITION = """
name = "estimate"
dataset = "digits"
model = "seed_cnn_relu"
epochs = {epochs}
search = {{ trials = {trials}, sampler = "random", pruner = "none", batch_size = [32, 64, 128] }}
confirm = {{ seeds = 2 }}
losses = {{ cross_entropy = {{}}, mse = {{}} }}
optimizers = {{ sgd = {{ lr = 0.01 }}, adamw = {{ lr = 0.001 }} }}
"""


def measure(trials: int = 6, epochs: int = 20) -> list[Figure]:
    """Plan a sweep of four combinations and run it, without a pruner, as the plan assumes."""
    text = DEFINITION.format(trials=trials, epochs=epochs)
    definition = experiment.read(text)
    workers, threads = allotment(len(definition.combinations()))
    started = time.perf_counter()
    planned = plan.measure(definition, prepare.prepare(definition), workers, threads).least.seconds
    planning = time.perf_counter() - started
    taken = _run(text)
    return [
        Figure(
            name="planned time / time of the sweep",
            value=planned / taken,
            unit="x",
            at_least=LOW,
            at_most=HIGH,
            detail=f"{planned:.0f} s planned, {taken:.0f} s taken; planning took {planning:.0f} s",
        )
    ]


def _run(text: str) -> float:
    """Run a definition with the command line, in a separate folder; return the wall time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "estimate.toml"
        path.write_text(text, encoding="utf-8")
        started = time.perf_counter()
        stores = ["--tracking-uri", "sqlite:///mlflow.db", "--storage", "sqlite:///optuna.db"]
        command = [COMMAND, "run", str(path), *stores]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(show(measure()))
