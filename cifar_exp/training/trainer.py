"""The trainer: trains a group of trainings, one epoch per step, and records nothing.

Each step yields one `EpochMetrics` per training, and receives which of them continue. At its end
each training has an `Outcome`. As nothing is recorded here, a training process can die at any time
and be replaced. It writes only checkpoints and the files of trained networks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.by_frequency import accuracy_by_frequency
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.records import TrialState
from cifar_exp.system import fault_injection
from cifar_exp.training import hardware
from cifar_exp.training.checkpoint import WRONG, Pace, keeper_of, key_of
from cifar_exp.training.evaluation import Diverged
from cifar_exp.training.group.member import Member, Together
from cifar_exp.training.group.stackable import is_stackable
from cifar_exp.training.guard import Guard, TrainingError
from cifar_exp.training.learner import Alone, Learner
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Group, Outcome, Step, Training
from cifar_exp.training.network_file import save_network
from cifar_exp.training.peak_memory import PeakMemory

Steps = Generator[EpochMetrics, bool, Outcome]
"""Yields the metrics of each epoch, receives whether to continue, and returns the outcome."""

PausingSteps = Generator[EpochMetrics | None, bool | None, Outcome]
"""Steps that also yield None before each epoch: the next epoch has not begun.

So all trainings of a group are restored, saved or ended before one of them trains.
"""

NewLearner = Callable[[], Learner]


def train_group(group: Group, data: Dataset) -> Generator[Step, Mapping[int, bool], None]:
    """Train a group; receives which trainings of a step's `epochs` continue.

    The last step has no `epochs`.

    Raises:
        TooWide: The memory does not suffice for so many networks.
        OSError: A trained network cannot be written.
    """
    memory, pace = PeakMemory(), Pace()
    running = {
        index: _train(training, learner, data, group.folder, pace)
        for index, (training, learner) in enumerate(
            zip(group.trainings, _learners(group.trainings, data), strict=True)
        )
    }
    decisions: Mapping[int, bool] = {}
    while running:
        _, ended = _advance(running, decisions)
        epochs, ended_later = _advance(running, {})
        peaks = memory.metrics()
        decisions = yield Step(
            epochs={index: metrics for index, metrics in epochs.items() if metrics is not None},
            outcomes={
                index: replace(outcome, memory=peaks)
                for index, outcome in (ended | ended_later).items()
            },
        )


def _advance(
    running: dict[int, PausingSteps], decisions: Mapping[int, bool]
) -> tuple[dict[int, EpochMetrics | None], dict[int, Outcome]]:
    """Advance all trainings; return what they yield, and the outcomes of those that have ended."""
    yielded, outcomes = {}, {}
    for index, steps in list(running.items()):
        try:
            yielded[index] = steps.send(decisions.get(index))
        except StopIteration as end:
            outcomes[index] = end.value
            del running[index]
    return yielded, outcomes


def train(training: Training, data: Dataset, folder: Path) -> Steps:
    """Train one network, from its checkpoint if there is one.

    The metrics of epochs in the checkpoint are yielded again without training.

    Raises:
        OSError: The trained network cannot be written.
    """
    memory = PeakMemory()
    [learner] = _learners([training], data)
    steps = _train(training, learner, data, folder, Pace())
    decision = None
    while True:
        try:
            metrics = steps.send(decision)
        except StopIteration as end:
            outcome: Outcome = replace(end.value, memory=memory.metrics())
            return outcome
        decision = None if metrics is None else (yield metrics)


def _learners(trainings: Sequence[Training], data: Dataset) -> list[NewLearner]:
    """Return what creates the learner of each training: in one program, or one by one."""
    configs = [training.config for training in trainings]
    if _in_one_program(configs, data):
        together = Together(configs, data)
        return [partial(Member, together, index) for index in range(len(configs))]
    return [partial(Alone, config, data) for config in configs]


def _in_one_program(configs: Sequence[TrialConfig], data: Dataset) -> bool:
    """Return whether to use a program: for several networks and on a GPU, where it is possible."""
    if len(configs) == 1 and hardware.device().type != "cuda":
        return False
    shape = (data.channels, data.size, data.num_classes)
    optimizers = [config.optimizer_settings for config in configs]
    return all(each.is_stackable(dict(each)) for each in optimizers) and is_stackable(
        configs[0].model, *shape
    )


def _train(
    training: Training, new_learner: NewLearner, data: Dataset, folder: Path, pace: Pace
) -> PausingSteps:
    attempt = _Attempt(training, new_learner, data.fingerprint, pace)
    state: TrialState = "FAIL"
    tested, tested_ema, reason, diverged = None, None, None, False
    try:
        state = yield from attempt.epochs()
        if state == "COMPLETE" and training.test:
            tested, tested_ema = attempt.test(), attempt.test_average()
    except Diverged as error:
        state, reason, diverged = "FAIL", f"{error} {attempt.stage}", True
    except TrainingError as error:
        state, reason = "FAIL", str(error)
    fault_injection.point("before_outcome", training=training.name)
    failed = state == "FAIL"
    outcome = Outcome(
        state=state,
        epochs=len(attempt.emitted),
        val_accuracy=None if failed else attempt.emitted[-1].val.accuracy,
        seconds=attempt.seconds(),
        reason=reason,
        diverged=diverged,
        together=attempt.learner.together,
        tested=tested,
        by_frequency=_by_frequency(tested, data),
        tested_ema=tested_ema,
        network=attempt.save(folder) if state == "COMPLETE" else None,
    )
    attempt.end()
    return outcome


def _by_frequency(tested: Evaluation | None, data: Dataset) -> Mapping[str, float]:
    """Return the accuracy on the test split by frequency of the class, where it is wanted."""
    if tested is None or data.class_counts is None:
        return {}
    return accuracy_by_frequency(tested.predictions, np.array(data.class_counts))


class _Attempt:
    """One attempt at a training."""

    def __init__(
        self, training: Training, new_learner: NewLearner, fingerprint: str, pace: Pace
    ) -> None:
        self.training = training
        self.config = training.config
        self.guard = Guard(self.config.batch_size)
        self.learner: Learner = new_learner()
        key = key_of(self.config, fingerprint, self.learner.form)
        self.keeper = keeper_of(training.checkpoint, key)
        self.pace = pace
        self.emitted: list[EpochMetrics] = []
        """The metrics that were yielded."""
        self.stage = "before the first epoch"
        self._seconds_before = 0.0

    def epochs(self) -> Generator[EpochMetrics | None, bool | None, TrialState]:
        """Yield None before and the metrics after every epoch; stop when False is received."""
        earlier = self.guard(self._build_or_restore)
        yield None
        for metrics in earlier:
            if not (yield self._emit(metrics)):
                return "PRUNED"
            yield None
        for epoch in range(len(earlier) + 1, self.config.epochs + 1):
            self.stage = f"in epoch {epoch}"
            metrics = self.guard(self.learner.train_epoch, epoch)
            continues = yield self._emit(metrics)
            fault_injection.point("after_epoch", training=self.training.name, epoch=epoch)
            if not continues:
                return "PRUNED"
            self._save_checkpoint(epoch)
            yield None
        return "COMPLETE"

    def test(self) -> Evaluation:
        """Score the network on the test split."""
        self.stage = "on the test set"
        evaluation: Evaluation = self.guard(self.learner.test)
        return evaluation

    def test_average(self) -> Evaluation | None:
        """Score the average of the weights on the test split, if there is one."""
        evaluation: Evaluation | None = self.guard(self.learner.test_average)
        return evaluation

    def seconds(self) -> float:
        """Return the wall time so far, summed over all attempts."""
        return self._seconds_before + self.learner.seconds()

    def save(self, folder: Path) -> Path:
        """Save the trained network to a file and return its path."""
        path = folder / f"{self.training.checkpoint}.pth"
        save_network(self.learner.network(), path)
        return path

    def end(self) -> None:
        """Release the network."""
        self.learner.end()

    def _build_or_restore(self) -> list[EpochMetrics]:
        """Build or restore the network and its optimizer; return the metrics of restored epochs."""
        checkpoint = self.keeper.load()
        if checkpoint is not None:
            try:
                earlier = checkpoint.epochs()
                self.learner.build(checkpoint)
            except WRONG as error:
                self.keeper.warn(error)
            else:
                self._seconds_before = checkpoint.seconds
                return earlier
        self.learner.build(None)
        return []

    def _emit(self, metrics: EpochMetrics) -> EpochMetrics:
        self.emitted.append(metrics)
        self.stage = f"in epoch {metrics.epoch + 1}"
        return metrics

    def _save_checkpoint(self, epoch: int) -> None:
        """Save a checkpoint; the last one stays until the outcome is recorded."""
        if self.pace.is_due(epoch):
            with self.pace.saving():
                self.keeper.save(self.learner.checkpoint(self.emitted, self.seconds()))
        fault_injection.point("after_checkpoint", training=self.training.name, epoch=epoch)
