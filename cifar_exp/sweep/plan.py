"""The plan of a sweep: number of trainings, disk space, and time estimated from a few batches."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from cifar_exp.components.datasets import Dataset, open_dataset
from cifar_exp.experiment import Combination, Experiment, Range, TrialConfig
from cifar_exp.study import block_size
from cifar_exp.sweep.disk_space import need
from cifar_exp.sweep.executors import fork_server
from cifar_exp.sweep.prepare import model_bytes
from cifar_exp.training import loop
from cifar_exp.training.hardware import prepare_process

MEASURED_SECONDS = 0.5
MAX_STEPS = 50
MAX_SIMULATED = 50_000
"""Number of trainings that are simulated one by one, in about 0.1 s."""
MIN_PER_WORKER = 100
"""Trainings of a block for each worker, down to which they are merged."""

# Overhead as measured by `make bench`: per training, and once per sweep
SECONDS_PER_RUN = 0.05
SECONDS_PER_SWEEP = 6.0


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
    images_per_second: dict[int, float]
    """Training speed of each worker by batch size, with the first loss and optimizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Speed of one worker, measured while all others ran the same measurement."""

    started: float
    """When the worker was ready, in seconds since 1970."""
    step_seconds: Mapping[int, float]
    """Seconds of a training step by batch size, with the first loss and optimizer."""
    optimizer_seconds: Mapping[str, float]
    """Additional seconds of a step with each optimizer, compared with the first."""
    evaluation_seconds: float
    """Seconds to evaluate one image."""


def measure(experiment: Experiment, data: Dataset, workers: int, threads: int) -> Plan:
    """Estimate the cost of a sweep from a few training steps, in as many processes as it uses.

    Nothing is recorded. The estimate assumes that all batch sizes are equally frequent.
    """
    requested = time.time()
    speeds = _measure_in_parallel(experiment, data, workers, threads)
    start_seconds = max(speed.started for speed in speeds) - requested
    training_seconds = {
        c.name: fmean([_training_seconds(experiment, data, c, speed) for speed in speeds])
        for c in experiment.combinations()
    }
    test_seconds = fmean([speed.evaluation_seconds for speed in speeds]) * len(data.test)
    chains = [
        _chain(experiment, seconds, seconds + test_seconds) for seconds in training_seconds.values()
    ]
    training_time = makespan(chains, workers)
    return _plan(experiment, data, SECONDS_PER_SWEEP + start_seconds + training_time, speeds)


@dataclass(frozen=True, slots=True)
class Block:
    """Trainings of one combination that can run at the same time, or several equal such blocks."""

    number: int
    seconds: float
    """Seconds of each training."""
    repeats: int = 1
    """Number of such blocks, one after the other."""


def makespan(chains: Sequence[Sequence[Block]], workers: int) -> float:
    """Return when the last trainer finishes, in seconds from the start.

    Every training is simulated, up to MAX_SIMULATED. Of more trainings, consecutive ones of a
    combination are merged into longer ones with the same total time.

    Args:
        chains: The blocks of each combination; a block starts when the previous one has ended.
        workers: Number of trainers; each takes the combination with the most remaining work, as
            the scheduler does.
    """
    total = sum(block.number * block.repeats for chain in chains for block in chain)
    factor = math.ceil(total / MAX_SIMULATED)
    merged = [[_merge(block, factor, workers) for block in chain] for chain in chains]
    return _simulate([_Chain(blocks) for blocks in merged], workers)


def _merge(block: Block, factor: int, workers: int) -> Block:
    """Merge about `factor` trainings into one: first whole blocks, then trainings within a block.

    A block keeps enough trainings for all workers, or all that it has.
    """
    repeats = max(1, block.repeats // factor)
    rest = max(1, factor * repeats // block.repeats)
    number = max(min(block.number, MIN_PER_WORKER * workers), block.number // rest)
    share = (block.repeats / repeats) * (block.number / number)
    return Block(number, block.seconds * share, repeats)


class _Chain:
    """The remaining trainings of a combination."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = list(reversed(blocks))
        self.end = 0.0
        """When the last training that has started ends."""
        self._next_block()

    def _next_block(self) -> None:
        block = self._blocks.pop()
        self.seconds = block.seconds
        """Seconds of a training of the present block."""
        self._number, self._started, self._repeats = block.number, 0, block.repeats
        self._after = sum(later.seconds * later.repeats for later in reversed(self._blocks))

    @property
    def remaining(self) -> float:
        """Seconds of the present and all later blocks, one training of each."""
        return self.seconds * self._repeats + self._after

    def start(self, now: float) -> bool:
        """Start a training; return whether it is the last one of its block."""
        self.end = max(self.end, now + self.seconds)
        self._started += 1
        return self._started == self._number

    def go_on(self) -> bool:
        """Go on to the next block; return whether there is one."""
        self._started = 0
        self._repeats -= 1
        if not self._repeats and self._blocks:
            self._next_block()
        return self._repeats > 0


def _simulate(chains: Sequence[_Chain], workers: int) -> float:
    """Start one training after the other, each on the trainer that is free first."""
    ready = [(-chain.remaining, index) for index, chain in enumerate(chains)]
    heapq.heapify(ready)
    waiting: list[tuple[float, int]] = []  # until their last block has ended
    free = [0.0] * workers
    now = 0.0
    while ready or waiting:
        now = max(heapq.heappop(free), now if ready else waiting[0][0])
        while waiting and waiting[0][0] <= now:
            index = heapq.heappop(waiting)[1]
            heapq.heappush(ready, (-chains[index].remaining, index))
        index = ready[0][1]
        chain = chains[index]
        heapq.heappush(free, now + chain.seconds)
        if chain.start(now):
            heapq.heappop(ready)
            if chain.go_on():
                heapq.heappush(waiting, (chain.end, index))
    return max(free)


def _chain(experiment: Experiment, trial: float, confirmation: float) -> list[Block]:
    """Return the blocks of a combination, from the seconds of its trials and confirmations."""
    trials = experiment.search.trials
    size = int(min(trials, block_size(experiment)))
    rest = [Block(trials % size, trial)] if trials % size else []
    return [
        Block(size, trial, trials // size),
        *rest,
        Block(experiment.confirm.seeds, confirmation),
    ]


def _plan(experiment: Experiment, data: Dataset, seconds: float, speeds: Sequence[Speed]) -> Plan:
    combinations = len(experiment.combinations())
    trials = combinations * experiment.search.trials
    confirmations = combinations * experiment.confirm.seeds
    stored = need(experiment, model_bytes(experiment, data), len(data.test))
    return Plan(
        combinations=combinations,
        trials=trials,
        confirmations=confirmations,
        epochs=(trials + confirmations) * experiment.epochs,
        seconds=seconds,
        disk_bytes=stored.files + stored.rows,
        images_per_second={
            size: size / fmean([speed.step_seconds[size] for speed in speeds])
            for size in experiment.search.batch_size
        },
    )


def _measure_in_parallel(
    experiment: Experiment, data: Dataset, workers: int, threads: int
) -> list[Speed]:
    """Measure in as many processes as the sweep has, since parallel processes slow each other."""
    if workers == 1:
        prepare_process(threads)
        return [_measure(experiment, data)]
    fork_server.load()
    context = fork_server.context()
    with ProcessPoolExecutor(workers, context, prepare_process, (threads,)) as executor:
        jobs = [executor.submit(_measure_cached, experiment, data.path) for _ in range(workers)]
        return [job.result() for job in jobs]


def _measure_cached(experiment: Experiment, data_path: Path) -> Speed:
    return _measure(experiment, open_dataset(data_path))


def _measure(experiment: Experiment, data: Dataset) -> Speed:
    started = time.time()
    combinations = experiment.combinations()[: len(experiment.optimizers)]
    sizes = experiment.search.batch_size
    # The time of an optimizer's step does not depend on the batch size, so one size is enough.
    steps = {
        c.optimizer.name: _step_seconds(_config(experiment, c, min(sizes)), data)
        for c in combinations
    }
    first = steps[combinations[0].optimizer.name]
    others = (size for size in sizes if size != min(sizes))
    return Speed(
        started=started,
        step_seconds={
            min(sizes): first,
            **{s: _step_seconds(_config(experiment, combinations[0], s), data) for s in others},
        },
        optimizer_seconds={name: seconds - first for name, seconds in steps.items()},
        evaluation_seconds=_evaluation_seconds(experiment, data),
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


def _step_seconds(config: TrialConfig, data: Dataset) -> float:
    """Return the seconds of a training step, measured after one warm-up step."""
    warm_up = _steps(config, data, 1)
    return _steps(config, data, min(MAX_STEPS, math.ceil(MEASURED_SECONDS / warm_up)))


def _steps(config: TrialConfig, data: Dataset, num_steps: int) -> float:
    """Return the mean seconds of `num_steps` training steps, or of as many as the data allows."""
    num_images = min(len(data.train), num_steps * config.batch_size)
    subset = replace(data, train=data.train.first(num_images), val=data.val.first(1))
    [epoch] = loop.train(loop.build_model(config, subset), config, subset)
    return config.batch_size / epoch.images_per_second


def _evaluation_seconds(experiment: Experiment, data: Dataset) -> float:
    """Return the seconds to evaluate one image, measured after one warm-up batch."""
    config = _config(experiment, experiment.combinations()[0], experiment.search.batch_size[0])
    model = loop.build_model(config, data)
    subset = data.val.first(2 * loop.EVALUATION_BATCH)
    for split in (subset.first(loop.EVALUATION_BATCH), subset):
        started = time.perf_counter()
        loop.evaluate(model, config.loss_settings, split, config.precision)
    return (time.perf_counter() - started) / len(subset)


def _config(experiment: Experiment, combination: Combination, batch_size: int) -> TrialConfig:
    """Return a training with the low end of every searched range, which does not affect speed."""
    low = {
        name: values.low
        for name, values in experiment.space(combination).items()
        if isinstance(values, Range)
    }
    config = experiment.trial(combination, {**low, "batch_size": batch_size}, experiment.seed)
    return config.model_copy(update={"epochs": 1})
