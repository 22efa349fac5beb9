"""The plan of a sweep: number of trainings, disk space, and time estimated from a few batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.experiment import Combination, Experiment
from cifar_exp.study import trials_per_block
from cifar_exp.sweep.disk_space import need
from cifar_exp.sweep.plan.groups import Groups, measure_groups
from cifar_exp.sweep.plan.makespan import Block, makespan
from cifar_exp.sweep.plan.speed import Speed, measure_in_parallel
from cifar_exp.sweep.prepare import model_bytes

# Overhead as measured by `make bench`: per training, and once per sweep
SECONDS_PER_RUN = 0.05
SECONDS_PER_SWEEP = 6.0
SECONDS_PER_MODEL = 0.12
"""Processor time of the recorder per training, which limits groups that train faster."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The estimated cost of a sweep without pruning."""

    trials: int
    confirmations: int
    epochs: int
    """Epochs of all trainings together."""
    seconds: float
    """Wall time with all workers."""
    disk_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The estimated cost of a sweep: with the fewest and with the most replicates."""

    combinations: int
    least: Cost
    most: Cost
    """Every combination with the most replicates; equal to `least` if their number is fixed."""
    images_per_second: Mapping[int, float]
    """Training speed of each worker by batch size: of all networks of a group together, else with
    the first combination."""
    together: int = 1
    """Networks in a group, on average."""


def measure(
    experiment: Experiment, data: Dataset, workers: int, threads: int, width: int = 1
) -> Plan:
    """Estimate the cost of a sweep from a few training steps.

    If networks with one of the optimizers train one by one, the estimate is that of all trainings
    one by one, which is an upper bound. Nothing is recorded. The estimate assumes that all batch
    sizes are equally frequent.

    Args:
        experiment: The definition.
        data: The data set.
        workers: Number of trainers.
        threads: CPU threads of each.
        width: The largest number of networks that a trainer trains together.
    """
    optimizers = experiment.optimizers.values()
    if width > 1 and all(OPTIMIZERS[v.type].is_stackable(v.settings) for v in optimizers):
        groups = measure_groups(experiment, data, workers, threads, width)
        least, most = (
            _cost(sized, data, _seconds_of_groups(sized, groups))
            for sized in (experiment, experiment.at_most())
        )
        return Plan(
            combinations=len(experiment.combinations()),
            least=least,
            most=most,
            images_per_second=groups.images_per_second,
            together=groups.together,
        )
    requested = time.time()
    speeds = measure_in_parallel(experiment, data, workers, threads)
    start_seconds = max(speed.started for speed in speeds) - requested
    training_seconds = [
        fmean([_training_seconds(experiment, data, c, speed) for speed in speeds])
        for c in experiment.combinations()
    ]
    test_seconds = fmean([speed.evaluation_seconds for speed in speeds]) * len(data.test)
    least, most = (
        _cost(
            sized,
            data,
            start_seconds + makespan(_chains(sized, training_seconds, test_seconds), workers),
        )
        for sized in (experiment, experiment.at_most())
    )
    return Plan(
        combinations=len(experiment.combinations()),
        least=least,
        most=most,
        images_per_second=_images_per_second(experiment, speeds),
    )


def _seconds_of_groups(experiment: Experiment, groups: Groups) -> float:
    of_study = groups.study_seconds + experiment.confirm.seeds * groups.seed_seconds
    recording = experiment.num_trainings * SECONDS_PER_MODEL
    return max(experiment.search.studies * of_study, recording)


def _images_per_second(experiment: Experiment, speeds: Sequence[Speed]) -> dict[int, float]:
    return {
        size: size / fmean([speed.step_seconds[size] for speed in speeds])
        for size in experiment.search.batch_size
    }


def _chains(
    experiment: Experiment, training_seconds: Sequence[float], test_seconds: float
) -> list[list[Block]]:
    """Return the blocks of each study, from the seconds of a training of each combination."""
    return [
        _chain(experiment, combination, seconds, seconds + test_seconds)
        for combination, seconds in zip(experiment.combinations(), training_seconds, strict=True)
        for _ in range(experiment.search.studies)
    ]


def _chain(
    experiment: Experiment, combination: Combination, trial: float, confirmation: float
) -> list[Block]:
    """Return the blocks of a study, from the seconds of its trials and confirmations."""
    trials = experiment.trials_of(combination)
    size = trials_per_block(experiment, combination)
    rest = [Block(trials % size, trial)] if trials % size else []
    return [
        Block(size, trial, trials // size),
        *rest,
        Block(experiment.confirm.seeds, confirmation),
    ]


def _cost(experiment: Experiment, data: Dataset, seconds: float) -> Cost:
    """Return the cost with the fewest replicates; `seconds` is the time of the trainings."""
    stored = need(experiment, model_bytes(experiment, data), len(data.test))
    return Cost(
        trials=experiment.num_trials,
        confirmations=experiment.num_confirmations,
        epochs=experiment.num_trainings * experiment.epochs,
        seconds=SECONDS_PER_SWEEP + seconds,
        disk_bytes=stored.files + stored.rows,
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
