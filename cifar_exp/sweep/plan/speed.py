"""The speed of trainings one by one, measured on a few batches."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from cifar_exp.components.datasets import Dataset, open_dataset
from cifar_exp.components.plugins import registry
from cifar_exp.components.plugins.plugin import Plugin
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import Combination, Experiment, TrialConfig
from cifar_exp.experiment.ends import config_at
from cifar_exp.sweep.executors import fork_server
from cifar_exp.training import evaluation, loop, untrained
from cifar_exp.training.hardware import prepare_process

MEASURED_SECONDS = 0.5
MAX_STEPS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Speed of one worker, measured while all others ran the same measurement."""

    started: float
    """When the worker was ready, in seconds since 1970."""
    step_seconds: Mapping[int, float]
    """Seconds of a training step by batch size, with the first combination."""
    optimizer_seconds: Mapping[str, float]
    """Additional seconds of a step with each optimizer, compared with the first."""
    evaluation_seconds: float
    """Seconds to evaluate one image."""


def measure_in_parallel(
    experiment: Experiment, data: Dataset, workers: int, threads: int
) -> list[Speed]:
    """Measure in as many processes as the sweep has, since parallel processes slow each other."""
    if workers == 1:
        prepare_process(threads)
        return [_measure(experiment, data)]
    fork_server.load()
    context = fork_server.context()
    arguments = (threads, registry.loaded())
    with ProcessPoolExecutor(workers, context, _prepare, arguments) as executor:
        jobs = [executor.submit(_measure_cached, experiment, data.path) for _ in range(workers)]
        return [job.result() for job in jobs]


def _prepare(threads: int, plugins: Sequence[Plugin]) -> None:
    prepare_process(threads)
    registry.load(plugins)


def _measure_cached(experiment: Experiment, data_path: Path) -> Speed:
    return _measure(experiment, open_dataset(data_path))


def _measure(experiment: Experiment, data: Dataset) -> Speed:
    started = time.time()
    every = experiment.combinations()
    combinations = list({c.optimizer.name: c for c in reversed(every)}.values())[::-1]
    sizes = experiment.search.batch_size
    # The time of an optimizer's step does not depend on the batch size, so one size is enough.
    steps = {
        c.optimizer.name: _step_seconds(low_config(experiment, c, min(sizes)), data)
        for c in combinations
    }
    first = steps[combinations[0].optimizer.name]
    others = (size for size in sizes if size != min(sizes))
    return Speed(
        started=started,
        step_seconds={
            min(sizes): first,
            **{s: _step_seconds(low_config(experiment, combinations[0], s), data) for s in others},
        },
        optimizer_seconds={name: seconds - first for name, seconds in steps.items()},
        evaluation_seconds=(1 if experiment.ema is None else 2)
        * _evaluation_seconds(experiment, data),
    )


def _step_seconds(config: TrialConfig, data: Dataset) -> float:
    """Return the seconds of a training step, measured after one warm-up step."""
    warm_up = _steps(config, data, 1)
    return _steps(config, data, min(MAX_STEPS, math.ceil(MEASURED_SECONDS / warm_up)))


def _steps(config: TrialConfig, data: Dataset, num_steps: int) -> float:
    """Return the mean seconds of `num_steps` training steps, or of as many as the data allows."""
    num_images = min(len(data.train), num_steps * config.batch_size)
    subset = replace(data, train=data.train.first(num_images), val=data.val.first(1))
    try:
        [epoch] = loop.train(untrained.build_model(config, subset), config, subset)
    except evaluation.Diverged as error:
        name = f"{config.loss}+{config.optimizer} at lr {config.lr:g}"
        raise DefinitionError(f"{name}, batch size {config.batch_size}: {error}") from None
    return config.batch_size / epoch.images_per_second


def _evaluation_seconds(experiment: Experiment, data: Dataset) -> float:
    """Return the seconds to evaluate one image, measured after one warm-up batch."""
    config = low_config(experiment, experiment.combinations()[0], experiment.search.batch_size[0])
    model = untrained.build_model(config, data)
    subset = data.val.first(2 * evaluation.EVALUATION_BATCH)
    for split in (subset.first(evaluation.EVALUATION_BATCH), subset):
        started = time.perf_counter()
        evaluation.evaluate(model, config.loss_settings, split, config.precision)
    return (time.perf_counter() - started) / len(subset)


def low_config(experiment: Experiment, combination: Combination, batch_size: int) -> TrialConfig:
    """Return a training with the low end of every searched range, which does not affect speed."""
    config = config_at("low", experiment, combination, batch_size)
    return config.model_copy(update={"epochs": 1})
