"""The trainer: trains a group of trainings, one epoch per step, and records nothing.

Each step yields one `EpochMetrics` per training, and receives which of them continue. At its end
each training has an `Outcome`. As nothing is recorded here, a training process can die at any time
and be replaced. It writes only checkpoints and the files of trained networks.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path

import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.records import TrialState
from cifar_exp.system import fault_injection
from cifar_exp.training import loop
from cifar_exp.training.checkpoint import WRONG, Checkpoint, keeper_of
from cifar_exp.training.guard import Guard, TrainingError
from cifar_exp.training.loop import Diverged, EpochMetrics
from cifar_exp.training.messages import Group, Outcome, Step, Training
from cifar_exp.training.network_file import save_network

Steps = Generator[EpochMetrics, bool, Outcome]
"""Yields the metrics of each epoch, receives whether to continue, and returns the outcome."""


def train_group(group: Group, data: Dataset) -> Generator[Step, Mapping[int, bool], None]:
    """Train a group; receives which trainings of a step's `epochs` continue.

    The last step has no `epochs`.
    """
    running = {
        index: train(training, data, group.folder) for index, training in enumerate(group.trainings)
    }
    decisions: Mapping[int, bool | None] = dict.fromkeys(running)
    while running:
        epochs, outcomes = {}, {}
        for index, steps in list(running.items()):
            try:
                epochs[index] = steps.send(decisions[index])  # type: ignore[arg-type]  # None starts
            except StopIteration as end:
                outcomes[index] = end.value
                del running[index]
        decisions = yield Step(epochs=epochs, outcomes=outcomes)


def train(training: Training, data: Dataset, folder: Path) -> Steps:
    """Train one network, from its checkpoint if there is one.

    The metrics of epochs in the checkpoint are yielded again without training.

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
        epochs=len(attempt.emitted),
        val_accuracy=None if failed else attempt.emitted[-1].val.accuracy,
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
        self.keeper = keeper_of(training.checkpoint, self.config, data.fingerprint)
        with suppress(TrainingError):  # the training itself fails the same way
            self.guard(loop.warm_up, self.config, data)
        self.emitted: list[EpochMetrics] = []
        """The metrics that were yielded."""
        self.stage = "before the first epoch"
        self._started = time.perf_counter()
        self._seconds_before = 0.0

    def epochs(self) -> Generator[EpochMetrics, bool, TrialState]:
        """Yield the metrics of every epoch; stop when False is received."""
        earlier = self.guard(self._build_or_restore)
        for metrics in earlier:
            if not (yield self._emit(metrics)):
                return "PRUNED"
        trained = loop.train(self.model, self.config, self.data, self.optimizer, len(earlier))
        self.stage = f"in epoch {len(earlier) + 1}"
        while (metrics := self.guard(next, trained, None)) is not None:
            continues = yield self._emit(metrics)
            fault_injection.point("after_epoch", training=self.training.name, epoch=metrics.epoch)
            if not continues:
                return "PRUNED"
            self._save_checkpoint(metrics.epoch)
        return "COMPLETE"

    def test(self) -> Evaluation:
        """Score the network on the test split."""
        self.stage = "on the test set"
        config = self.config
        evaluation: Evaluation = self.guard(
            loop.evaluate, self.model, config.loss_settings, self.data.test, config.precision
        )
        return evaluation

    def seconds(self) -> float:
        """Return the wall time so far, summed over all attempts."""
        return self._seconds_before + time.perf_counter() - self._started

    def save(self, folder: Path) -> Path:
        """Save the trained network to a file and return its path."""
        path = folder / f"{self.training.checkpoint}.pth"
        save_network(self.model, path)
        return path

    def _build_or_restore(self) -> list[EpochMetrics]:
        """Build or restore the network and its optimizer; return the metrics of restored epochs."""
        checkpoint = self.keeper.load()
        self._build()
        if checkpoint is None:
            return []
        try:
            earlier = checkpoint.epochs()
            checkpoint.restore(self.model, self.optimizer)
        except WRONG as error:
            self.keeper.warn(error)
            self._build()
            return []
        self._seconds_before = checkpoint.seconds
        return earlier

    def _build(self) -> None:
        self.model = loop.build_model(self.config, self.data)
        self.optimizer = loop.build_optimizer(self.model, self.config)

    def _emit(self, metrics: EpochMetrics) -> EpochMetrics:
        self.emitted.append(metrics)
        self.stage = f"in epoch {metrics.epoch + 1}"
        return metrics

    def _save_checkpoint(self, epoch: int) -> None:
        """Save a checkpoint; the last one stays until the outcome is recorded."""
        self.keeper.save_in_time(
            lambda: Checkpoint.of(self.model, self.optimizer, self.emitted, self.seconds())
        )
        fault_injection.point("after_checkpoint", training=self.training.name, epoch=epoch)
