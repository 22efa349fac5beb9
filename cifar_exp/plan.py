"""What a sweep would cost: its trainings counted, its time measured on a few batches."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, replace

from cifar_exp import training
from cifar_exp.datasets import Dataset, Split
from cifar_exp.experiment import Combination, Experiment, Range, TrialConfig
from cifar_exp.workers import prepare_process

MEASURED_STEPS = 12
BYTES_PER_RUN = 40_000  # rows in the two databases, and a model's metadata
BYTES_PER_PREDICTION = 6  # uncompressed; two bytes more with over 256 classes


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The size of a sweep; `seconds` is for all workers together, without pruning."""

    combinations: int
    trials: int
    confirmations: int
    epochs: int
    """Epochs of all trainings together, without pruning."""
    seconds: float
    disk_bytes: int
    images_per_second: dict[int, float]
    """Training speed by batch size."""


def measure(experiment: Experiment, data: Dataset, workers: int, threads: int) -> Plan:
    """Plan a sweep, with its time guessed from a few training steps of every optimizer.

    Nothing is recorded. The guess takes batch sizes as equally frequent.
    """
    prepare_process(threads)
    combinations = experiment.combinations()
    trials = len(combinations) * experiment.search.trials
    confirmations = len(combinations) * experiment.confirm.seeds
    speeds = {size: _speed(experiment, data, size) for size in experiment.search.batch_size}
    seconds_per_image = statistics.fmean(1 / speed for speed in speeds.values())
    epoch = len(data.train.labels) * seconds_per_image + _validation_seconds(experiment, data)
    epochs = (trials + confirmations) * experiment.epochs
    tuning = math.ceil(len(combinations) / workers) * experiment.search.trials
    confirming = math.ceil(confirmations / workers)
    return Plan(
        combinations=len(combinations),
        trials=trials,
        confirmations=confirmations,
        epochs=epochs,
        seconds=epoch * experiment.epochs * (tuning + confirming),
        disk_bytes=_disk_bytes(experiment, data),
        images_per_second=speeds,
    )


def _speed(experiment: Experiment, data: Dataset, batch_size: int) -> float:
    """Return the training speed at a batch size, over all optimizers with the first loss."""
    seconds = [
        _seconds_per_image(_config(experiment, combination, batch_size), data)
        for combination in experiment.combinations()[: len(experiment.optimizers)]
    ]
    return 1 / statistics.fmean(seconds)


def _seconds_per_image(config: TrialConfig, data: Dataset) -> float:
    """Time one short epoch after another that warms up."""
    num_images = min(len(data.train.labels), MEASURED_STEPS * config.batch_size)
    few = replace(data, train=_first(data.train, num_images), val=_first(data.val, 1))
    epochs = list(training.train(training.build_model(config, few), config, few))
    return 1 / epochs[-1].images_per_second


def _validation_seconds(experiment: Experiment, data: Dataset) -> float:
    config = _config(experiment, experiment.combinations()[0], experiment.search.batch_size[0])
    model = training.build_model(config, data)
    few = _first(data.val, 2 * training.EVALUATION_BATCH)
    started = time.perf_counter()
    training.evaluate(model, config.loss_settings, few, config.precision)
    return (time.perf_counter() - started) * len(data.val.labels) / len(few.labels)


def _config(experiment: Experiment, combination: Combination, batch_size: int) -> TrialConfig:
    """Return a training with the low end of everything searched: its speed is that of any."""
    low = {
        name: values.low
        for name, values in experiment.space(combination).items()
        if isinstance(values, Range)
    }
    config = experiment.trial(combination, {**low, "batch_size": batch_size}, experiment.seed)
    return config.model_copy(update={"epochs": 2})


def _first(split: Split, num_images: int) -> Split:
    return Split(images=split.images[:num_images], labels=split.labels[:num_images])


def _disk_bytes(experiment: Experiment, data: Dataset) -> int:
    model = training.build_model(_config(experiment, experiment.combinations()[0], 1), data)
    model_bytes = sum(p.numel() * p.element_size() for p in model.parameters())
    kept_trials = experiment.search.trials if experiment.keep_models == "all" else 1
    confirmations = len(experiment.combinations()) * experiment.confirm.seeds
    models = len(experiment.combinations()) * kept_trials + confirmations
    predictions = confirmations * len(data.test.labels) * BYTES_PER_PREDICTION
    return models * (model_bytes + BYTES_PER_RUN) + predictions
