"""Measure the time of the whole command on a sweep, and the share of recording."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.figure import Figure
from benchmarks.folder import own_folder
from benchmarks.gpu.section import Row, Section
from benchmarks.gpu.size import Size
from benchmarks.gpu.timed_run import Span
from benchmarks.synthetic import RandomImages, Synthetic
from cifar_exp import experiment
from cifar_exp.components import datasets
from cifar_exp.components.datasets.source import Source
from cifar_exp.experiment import Experiment

WHOLE = "5. the whole command, {}"
LONG = "6. {}: EXTRAPOLATED, not measured"
RECORDING = "8. recording, share of the time of the command"
ROOT = Path(__file__).parents[2]
GIVEN = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
SEARCHED = os.pathsep.join([str(ROOT), *(str(Path(folder).absolute()) for folder in GIVEN)])
"""The path of Python's packages, as the command runs in another folder."""
STORES = ("--tracking-uri", "sqlite:///mlflow.db", "--storage", "sqlite:///optuna.db")
EXIT_CODES = {0: "", 1: "; some combination has no result"}


class StandIn(Synthetic):
    """Random images that replace CIFAR-10 in the cache of decoded data sets."""

    name: ClassVar[str] = "cifar10"

    def source(self) -> Source:
        """Return random images with the identity of CIFAR-10."""
        return RandomStandIn(counts=self.counts)


@dataclass(frozen=True, kw_only=True)
class RandomStandIn(RandomImages):
    """Random images with the cache key of CIFAR-10."""

    @property
    def key(self) -> str:
        """The identity of CIFAR-10."""
        return datasets.Cifar10().source().key


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """How the time of a command is divided, in seconds."""

    whole: float
    before: float
    """From the start of the process until the first group is sent to a trainer."""
    training: float
    """While at least one group was training: trainers start, train, validate and score."""
    recording: float
    """The rest: all trainers were waiting, or the records and the ranking were being completed."""
    note: str = ""


def sections(size: Size) -> list[Section]:
    """Return the section of the command."""
    short, long = (experiment.read(p.read_text()) for p in (size.definition, size.long_definition))
    long = tuned_once(long)
    names = (WHOLE.format(_words(short)), LONG.format(_words(long)), RECORDING)
    return [Section(names=names, measure=lambda left: _measured(size, short, long, left))]


def tuned_once(definition: Experiment) -> Experiment:
    """Return a definition with one study of 20 trials and 5 confirmations of each combination."""
    search = definition.search.model_copy(update={"studies": 1, "trials": 20})
    confirm = definition.confirm.model_copy(update={"seeds": 5, "until": "fixed"})
    return definition.model_copy(update={"search": search, "confirm": confirm})


def _measured(size: Size, short: Experiment, long: Experiment, seconds_left: float) -> list[Row]:
    taken = run(size, seconds_left)
    return [_whole(short, taken), _extrapolated(short, long, taken), _recording(taken)]


def run(size: Size, seconds_left: float) -> Taken:
    """Run the command in a separate folder, where the images are already decoded.

    Raises:
        TimeoutError: The command takes longer than the remaining time.
        RuntimeError: The command fails.
    """
    with own_folder() as folder:
        datasets.load(StandIn(counts=size.counts))
        started = time.monotonic()
        code = _exit_code(size.definition.absolute(), folder, seconds_left)
        ended = time.monotonic()
        times = json.loads((folder / "times.json").read_text())
        if code not in EXIT_CODES or not times["sweep"]:
            raise RuntimeError(f"exit code {code}: {_last_line(folder / 'output')}")
    [[first, _]] = times["sweep"]
    training = covered(times["training"])
    return Taken(
        whole=ended - started,
        before=first - started,
        training=training,
        recording=ended - first - training,
        note=EXIT_CODES[code],
    )


def _exit_code(definition: Path, folder: Path, seconds: float) -> int:
    command = [sys.executable, "-m", "benchmarks.gpu.timed_run", "times.json"]
    # To a file: processes that end shortly after the command would keep a pipe open.
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [*command, "run", str(definition), "--yes", *STORES],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": SEARCHED},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its trainers can be killed with it
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise TimeoutError(f"it takes longer than the remaining {seconds:.0f} s") from None


def _last_line(output: Path) -> str:
    lines = output.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"


def covered(spans: Sequence[Span]) -> float:
    """Return the total length of the spans; overlapping parts count once."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(map(tuple, spans)):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def _whole(short: Experiment, taken: Taken) -> Row:
    return Figure(
        name=WHOLE.format(_words(short)),
        value=taken.whole,
        unit="s",
        at_most=150,
        aim=75,
        detail=f"random images, decoded before; until the first group {taken.before:.1f} s, "
        f"training {taken.training:.1f} s, recording {taken.recording:.1f} s{taken.note}",
    )


def _extrapolated(short: Experiment, long: Experiment, taken: Taken) -> Row:
    """Scale the training time by trainings x epochs, and the recording time by trainings."""
    trainings = long.num_trainings / short.num_trainings
    epochs = trainings * long.epochs / short.epochs
    seconds = taken.before + epochs * taken.training + trainings * taken.recording
    return Figure(
        name=LONG.format(_words(long)),
        value=seconds / 60,
        unit="min",
        at_most=25,
        aim=10,
        detail=f"training of the row above x {epochs:.1f}, recording x {trainings:.1f}; its "
        "sampler, pruner and batch sizes are not considered",
    )


def _recording(taken: Taken) -> Row:
    return Figure(
        name=RECORDING,
        value=100 * taken.recording / taken.whole,
        unit="%",
        at_most=10,
        detail=f"{taken.recording:.1f} of {taken.whole:.1f} s, in which no group trained after the "
        "first had begun",
    )


def _words(definition: Experiment) -> str:
    return f"{definition.num_trainings} trainings of {definition.epochs} epochs"
