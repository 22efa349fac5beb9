"""The time of a sweep whose trainings are grouped, estimated from a few batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Experiment
from cifar_exp.sweep.plan.speed import MAX_STEPS, low_config
from cifar_exp.sweep.schedule.scheduler import num_side_by_side
from cifar_exp.training import evaluation, hardware, untrained
from cifar_exp.training.group.program import Program, in_order
from cifar_exp.training.hardware import prepare_process


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """The estimate for groups."""

    study_seconds: float
    """Seconds of the trials of one study of every combination, with all workers."""
    seed_seconds: float
    """Seconds of one confirmation of every combination, with all workers."""
    images_per_second: Mapping[int, float]
    """Training speed of a group by batch size, of all its networks together."""
    together: int
    """Networks in a group of trials, on average."""


@dataclass(frozen=True, slots=True)
class Round:
    """Trainings that can run at the same time, in groups of one batch size each."""

    num_groups: float
    together: int
    """Networks in a group."""


def round_of(num_trainings: int, num_batch_sizes: int, width: int) -> Round:
    """Return the expected groups of trainings with random batch sizes.

    Of S batch sizes, N trainings have S (1 - (1 - 1/S)^N) different ones on average.
    """
    different = num_batch_sizes * (1 - (1 - 1 / num_batch_sizes) ** num_trainings)
    num_groups = max(different, num_trainings / width)
    return Round(num_groups, max(1, round(num_trainings / num_groups)))


def measure_groups(
    experiment: Experiment, data: Dataset, workers: int, threads: int, width: int
) -> Groups:
    """Estimate the time of a sweep from a few steps of groups as large as its own."""
    prepare_process(threads)
    search = experiment.search
    num_sizes = len(search.batch_size)
    num_trials = num_side_by_side(experiment) // search.studies  # studies differ in their seeds
    trials = round_of(num_trials, num_sizes, width)
    confirmations = round_of(len(experiment.combinations()), num_sizes, width)
    speeds = {
        together: {
            size: measure_group(experiment, data, size, together) for size in search.batch_size
        }
        for together in {trials.together, confirmations.together}
    }
    trial_round = _round_seconds(experiment, data, trials, speeds[trials.together])
    seed_round = _round_seconds(experiment, data, confirmations, speeds[confirmations.together])
    num_rounds = math.ceil(experiment.num_trials / search.studies / num_trials)
    return Groups(
        study_seconds=num_rounds * trial_round / workers,
        seed_seconds=seed_round / workers,
        images_per_second={
            size: trials.together * size / speed.step
            for size, speed in speeds[trials.together].items()
        },
        together=trials.together,
    )


@dataclass(frozen=True, slots=True)
class Speed:
    """The measured speed of a group."""

    step: float
    """Seconds of a training step of a group."""
    image: float
    """Seconds to evaluate one image with all networks of a group."""


def _round_seconds(
    experiment: Experiment, data: Dataset, groups: Round, speeds: Mapping[int, Speed]
) -> float:
    epochs = [
        math.ceil(len(data.train) / size) * speed.step + len(data.val) * speed.image
        for size, speed in speeds.items()
    ]
    return groups.num_groups * experiment.epochs * fmean(epochs)


def measure_group(experiment: Experiment, data: Dataset, batch_size: int, together: int) -> Speed:
    """Measure a group of the first combinations."""
    combinations = experiment.combinations()
    configs = {
        index: low_config(experiment, combinations[index % len(combinations)], batch_size)
        for index in range(together)
    }
    in_program = [configs[index] for index in in_order(configs)]
    train = hardware.on_device(data.train.first(MAX_STEPS * batch_size))
    initial = untrained.initial_model(in_program[0].model, data, in_program[0].seed)
    program = Program(in_program, initial, train, [None] * together, data.num_classes)
    program.train_epoch(1)  # a warm-up
    started = time.perf_counter()
    program.train_epoch(2)
    trained = time.perf_counter()
    evaluated = data.val.first(2 * evaluation.EVALUATION_BATCH)
    program.logits(evaluated).sum().item()  # waits for the GPU
    ended = time.perf_counter()
    num_steps = math.ceil(len(train) / batch_size)
    num_evaluated = len(evaluated) / (1 if experiment.ema is None else 2)
    return Speed((trained - started) / num_steps, (ended - trained) / num_evaluated)
