"""Trains what it is given, an epoch a step, and does nothing else.

A group of trainings goes in. Each step gives one `EpochMetrics` for each of them and asks which go
on; at its end each gives its `Outcome`. Nothing is recorded here, so a process that trains can die
at any moment and be replaced. Its only files are checkpoints, and the trained networks that it
hands over.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import TrialState
from cifar_exp.system import fault_injection
from cifar_exp.training import loop
from cifar_exp.training.checkpoint import (
    WRONG,
    Checkpoint,
    CheckpointFile,
    Keeper,
    NoCheckpoint,
    key_of,
)
from cifar_exp.training.guard import Guard, TrainingError
from cifar_exp.training.loop import Diverged, EpochMetrics
from cifar_exp.training.network_file import save_network


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """One network to train."""

    name: str
    config: TrialConfig
    checkpoint: str | None = None
    """The name of its checkpoint, if one is kept."""
    test: bool = False
    """Whether the trained network is scored on the test split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Trainings that one trainer trains together."""

    trainings: tuple[Training, ...]
    data_path: Path
    """The data set, see `open_dataset`."""
    folder: Path
    """Where trained networks are handed over."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """How a training ended."""

    state: TrialState
    epochs: int = 0
    val_accuracy: float | None = None
    """That of the last epoch; None for a training that failed."""
    seconds: float = 0.0
    """Wall time from building the network to the last score, of all attempts together.

    What a process does once (`loop.warm_up`) is left out, and what an interruption made vain."""
    reason: str | None = None
    """Why it failed."""
    diverged: bool = False
    tested: Evaluation | None = None
    """The test split, once scored."""
    network: Path | None = None
    """The file with the trained network, of a complete training."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """What a group tells, by the index of each training."""

    epochs: Mapping[int, EpochMetrics]
    """The epoch that a training has finished; it waits to be told whether it goes on."""
    outcomes: Mapping[int, Outcome]
    """How a training has ended."""


Steps = Generator[EpochMetrics, bool, Outcome]
"""Gives an epoch, is sent whether the training goes on, and returns the outcome."""


def train_group(group: Group, data: Dataset) -> Generator[Step, Mapping[int, bool], None]:
    """Train a group; send which of the trainings of a step's `epochs` go on.

    The last step has no `epochs`.
    """
    running = {
        index: train(training, data, group.folder) for index, training in enumerate(group.trainings)
    }
    goes_on: Mapping[int, bool | None] = dict.fromkeys(running)
    while running:
        epochs, outcomes = {}, {}
        for index, steps in list(running.items()):
            try:
                epochs[index] = steps.send(goes_on[index])  # type: ignore[arg-type]  # None begins
            except StopIteration as end:
                outcomes[index] = end.value
                del running[index]
        goes_on = yield Step(epochs=epochs, outcomes=outcomes)


def train(training: Training, data: Dataset, folder: Path) -> Steps:
    """Train one network from its checkpoint, or from its beginning.

    Epochs that the checkpoint has behind it are given again, not trained again.

    Raises:
        OSError: The trained network cannot be written.
    """
    attempt = _Attempt(training, data)
    state: TrialState = "FAIL"
    tested, reason, diverged = None, None, False
    try:
        state = yield from attempt.epochs()
        if state == "COMPLETE" and training.test:
            tested = attempt.test()
    except Diverged as error:
        state, reason, diverged = "FAIL", f"{error} {attempt.stage}", True
    except TrainingError as error:
        state, reason = "FAIL", str(error)
    fault_injection.point("before_outcome", training=training.name)
    failed = state == "FAIL"
    seconds = attempt.seconds()
    return Outcome(
        state=state,
        epochs=len(attempt.given),
        val_accuracy=None if failed else attempt.given[-1].val.accuracy,
        seconds=seconds,
        reason=reason,
        diverged=diverged,
        tested=tested,
        network=attempt.save(folder) if state == "COMPLETE" else None,
    )


class _Attempt:
    """One attempt at a training."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, training: Training, data: Dataset) -> None:
        self.training = training
        self.config = training.config
        self.data = data
        self.guard = Guard(self.config.batch_size)
        self.keeper = _keeper(training, data)
        with suppress(TrainingError):  # the training itself will meet it
            self.guard(loop.warm_up, self.config, data)
        self.given: list[EpochMetrics] = []
        """The epochs that were told of."""
        self.stage = "before the first epoch"
        self._started = time.perf_counter()
        self._seconds_before = 0.0

    def epochs(self) -> Generator[EpochMetrics, bool, TrialState]:
        """Give every epoch; stop where it is said so."""
        behind = self.guard(self._begin)
        for metrics in behind:
            if not (yield self._give(metrics)):
                return "PRUNED"
        trained = loop.train(self.model, self.config, self.data, self.optimizer, len(behind))
        self.stage = f"in epoch {len(behind) + 1}"
        while (metrics := self.guard(next, trained, None)) is not None:
            goes_on = yield self._give(metrics)
            fault_injection.point("after_epoch", training=self.training.name, epoch=metrics.epoch)
            if not goes_on:
                return "PRUNED"
            self._keep(metrics.epoch)
        return "COMPLETE"

    def test(self) -> Evaluation:
        """Score the test split."""
        self.stage = "on the test set"
        config = self.config
        evaluation: Evaluation = self.guard(
            loop.evaluate, self.model, config.loss_settings, self.data.test, config.precision
        )
        return evaluation

    def seconds(self) -> float:
        """Return the time that all attempts together have taken until now."""
        return self._seconds_before + time.perf_counter() - self._started

    def save(self, folder: Path) -> Path:
        """Write the trained network to a file."""
        path = folder / f"{self.training.checkpoint}.pth"
        save_network(self.model, path)
        return path

    def _begin(self) -> list[EpochMetrics]:
        """Build the network and its optimizer, or restore them; return the epochs behind them."""
        checkpoint = self.keeper.load()
        self._build()
        if checkpoint is None:
            return []
        try:
            behind = checkpoint.epochs()
            checkpoint.restore(self.model, self.optimizer)
        except WRONG as error:
            self.keeper.warn(error)
            self._build()
            return []
        self._seconds_before = checkpoint.seconds
        return behind

    def _build(self) -> None:
        self.model = loop.build_model(self.config, self.data)
        self.optimizer = loop.build_optimizer(self.model, self.config)

    def _give(self, metrics: EpochMetrics) -> EpochMetrics:
        self.given.append(metrics)
        self.stage = f"in epoch {metrics.epoch + 1}"
        return metrics

    def _keep(self, epoch: int) -> None:
        """Keep the state after an epoch; that after the last one until the outcome is recorded."""
        self.keeper.save_in_time(
            lambda: Checkpoint.of(self.model, self.optimizer, self.given, self.seconds())
        )
        fault_injection.point("after_checkpoint", training=self.training.name, epoch=epoch)


def _keeper(training: Training, data: Dataset) -> Keeper:
    if training.checkpoint is None:
        return NoCheckpoint()
    return CheckpointFile(training.checkpoint, key_of(training.config, data.fingerprint))
