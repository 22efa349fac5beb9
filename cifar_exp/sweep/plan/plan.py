"""The plan of a sweep: number of trainings, disk space, and time estimated from a few batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Combination, Experiment
from cifar_exp.study import trials_per_block
from cifar_exp.sweep.disk_space import need
from cifar_exp.sweep.plan.groups import measure_groups
from cifar_exp.sweep.plan.makespan import Block, makespan
from cifar_exp.sweep.plan.speed import Speed, measure_in_parallel
from cifar_exp.sweep.prepare import model_bytes

# Overhead as measured by `make bench`: per training, and once per sweep
SECONDS_PER_RUN = 0.05
SECONDS_PER_SWEEP = 6.0
SECONDS_PER_MODEL = 0.12
"""Processor time of the recorder per training, which limits groups that train faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The estimated cost of a sweep; `seconds` is wall time with all workers, without pruning."""

    combinations: int
    trials: int
    confirmations: int
    epochs: int
    """Epochs of all trainings together, without pruning."""
    seconds: float
    disk_bytes: int
    images_per_second: Mapping[int, float]
    """Training speed of each worker by batch size: of all networks of a group together, else with
    the first loss and optimizer."""
    together: int = 1
    """Networks in a group, on average."""


def measure(
    experiment: Experiment, data: Dataset, workers: int, threads: int, width: int = 1
) -> Plan:
    """Estimate the cost of a sweep from a few training steps.

    Nothing is recorded. The estimate assumes that all batch sizes are equally frequent.

    Args:
        experiment: The definition.
        data: The data set.
        workers: Number of trainers.
        threads: CPU threads of each.
        width: The largest number of networks that a trainer trains together.
    """
    if width > 1:
        groups = measure_groups(experiment, data, workers, threads, width)
        seconds = SECONDS_PER_SWEEP + max(groups.seconds, _num_runs(experiment) * SECONDS_PER_MODEL)
        return _plan(experiment, data, seconds, groups.images_per_second, groups.together)
    requested = time.time()
    speeds = measure_in_parallel(experiment, data, workers, threads)
    start_seconds = max(speed.started for speed in speeds) - requested
    training_seconds = {
        c.name: fmean([_training_seconds(experiment, data, c, speed) for speed in speeds])
        for c in experiment.combinations()
    }
    test_seconds = fmean([speed.evaluation_seconds for speed in speeds]) * len(data.test)
    chains = [
        _chain(experiment, seconds, seconds + test_seconds) for seconds in training_seconds.values()
    ]
    seconds = SECONDS_PER_SWEEP + start_seconds + makespan(chains, workers)
    return _plan(experiment, data, seconds, _images_per_second(experiment, speeds))


def _images_per_second(experiment: Experiment, speeds: Sequence[Speed]) -> dict[int, float]:
    return {
        size: size / fmean([speed.step_seconds[size] for speed in speeds])
        for size in experiment.search.batch_size
    }


def _num_runs(experiment: Experiment) -> int:
    per_combination = experiment.search.trials + experiment.confirm.seeds
    return len(experiment.combinations()) * per_combination


def _chain(experiment: Experiment, trial: float, confirmation: float) -> list[Block]:
    """Return the blocks of a combination, from the seconds of its trials and confirmations."""
    trials = experiment.search.trials
    size = trials_per_block(experiment)
    rest = [Block(trials % size, trial)] if trials % size else []
    return [
        Block(size, trial, trials // size),
        *rest,
        Block(experiment.confirm.seeds, confirmation),
    ]


def _plan(
    experiment: Experiment,
    data: Dataset,
    seconds: float,
    images_per_second: Mapping[int, float],
    together: int = 1,
) -> Plan:
    combinations = len(experiment.combinations())
    stored = need(experiment, model_bytes(experiment, data), len(data.test))
    return Plan(
        combinations=combinations,
        trials=combinations * experiment.search.trials,
        confirmations=combinations * experiment.confirm.seeds,
        epochs=_num_runs(experiment) * experiment.epochs,
        seconds=seconds,
        disk_bytes=stored.files + stored.rows,
        images_per_second=images_per_second,
        together=together,
    )


def _training_seconds(
    experiment: Experiment, data: Dataset, combination: Combination, speed: Speed
) -> float:
    """Return the seconds of one training of a combination, including its run in MLflow."""
    added = speed.optimizer_seconds[combination.optimizer.name]
    epochs = [
        math.ceil(len(data.train) / size) * (seconds + added)
        for size, seconds in speed.step_seconds.items()
    ]
    validation = speed.evaluation_seconds * len(data.val)
    return experiment.epochs * (fmean(epochs) + validation) + SECONDS_PER_RUN
