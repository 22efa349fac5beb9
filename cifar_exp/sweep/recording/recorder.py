"""The one process of a sweep that decides and records: it steps the trainers, and writes.

Whatever a trainer does, all that is known of its trainings is here. So one that dies is replaced,
and its trainings go on from their checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cifar_exp.errors import Unavailable
from cifar_exp.study import TrialResult
from cifar_exp.sweep.events import Event, Watch
from cifar_exp.sweep.executors import Begun, Death, Executor, Message, Trainer
from cifar_exp.sweep.recording.writer import Attempt, Begin, DropModel, End, Writer
from cifar_exp.sweep.schedule.model_retention import ModelRetention
from cifar_exp.sweep.schedule.scheduler import Scheduler
from cifar_exp.sweep.schedule.task import Key, Progress, Task
from cifar_exp.system import fault_injection
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.trainer import Group, Outcome, Step

MOST_ATTEMPTS = 3


class TrainerError(Unavailable):
    """Trainers cannot be had, or do not last."""


@dataclass(slots=True)
class UnderWay:
    """A group that a trainer trains."""

    tasks: tuple[Task, ...]
    spent: float = 0.0
    """Seconds that its trainer has trained, up to the last step."""
    since: float | None = None
    """When the trainer was last told to train; None while it is not known to have begun."""
    overdue: bool = False
    """Whether it was ended for taking too long."""

    def seconds(self, now: float) -> float:
        """Return the time that the trainer has trained."""
        return self.spent if self.since is None else self.spent + now - self.since


class Recorder:
    """Trains all that a sweep has left.

    Args:
        scheduler: Chooses what begins next.
        executor: Gives trainers.
        writer: Writes to the stores.
        retention: Decides whose model is stored, by combination.
        watch: Told of every epoch and training.
        new_group: Makes the group of a training.
        time_limit: Seconds that a training may take, if there is a limit.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        executor: Executor,
        writer: Writer,
        retention: Mapping[str, ModelRetention],
        watch: Watch,
        new_group: Callable[[Task], Group],
        time_limit: float | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._writer = writer
        self._retention = retention
        self._watch = watch
        self._new_group = new_group
        self._time_limit = time_limit
        self._under_way: dict[Trainer, UnderWay] = {}
        self._progress: dict[Key, Progress] = {}
        self._deaths_in_vain = 0

    def run(self) -> None:
        """Train until nothing is left, and wait until all of it is written.

        Raises:
            TrainerError: Trainers die before they can train.
            Exception: What writing has failed with, or a trainer's machine.
        """
        self._begin_what_can()
        while self._under_way:
            for trainer, message in self._executor.messages(self._seconds_to_limit()):
                self._receive(trainer, message)
            self._end_overdue()
            self._writer.check()
            self._begin_what_can()
        self._writer.close()

    def _begin_what_can(self) -> None:
        while self._executor.has_free_trainer and (task := self._scheduler.next()) is not None:
            self._begin(task)

    def _begin(self, task: Task) -> None:
        fault_injection.point("after_ask", training=task.name)
        if task.key not in self._progress:
            self._progress[task.key] = Progress()
            self._writer.put(Begin(task=task))
        self._tell(task, 0)
        self._under_way[self._executor.begin(self._new_group(task))] = UnderWay(tasks=(task,))

    def _receive(self, trainer: Trainer, message: Message) -> None:
        group = self._under_way[trainer]
        match message:
            case Begun():
                group.since = time.monotonic()
            case Step():
                self._deaths_in_vain = 0
                self._step(trainer, group, message)
            case Death():
                del self._under_way[trainer]
                self._after_death(group, message)
            case Exception():
                raise message

    def _step(self, trainer: Trainer, group: UnderWay, step: Step) -> None:
        group.spent, group.since = group.seconds(time.monotonic()), None
        goes_on = {
            index: self._epoch(group.tasks[index], metrics)
            for index, metrics in step.epochs.items()
        }
        if goes_on:
            trainer.go_on(goes_on)
            group.since = time.monotonic()
        else:
            del self._under_way[trainer]
        for index, outcome in step.outcomes.items():
            self._end(group.tasks[index], outcome)

    def _epoch(self, task: Task, metrics: EpochMetrics) -> bool:
        """Take note of an epoch of a training, and say whether the training goes on."""
        if not self._progress[task.key].add(metrics):
            return True  # it was told before its trainer died
        self._writer.epoch(task, metrics)
        self._tell(task, metrics.epoch, val_accuracy=metrics.val.accuracy)
        if task.kind == "confirmation":
            return True
        tuning = self._scheduler.work_of(task).tuning
        return not tuning.is_to_be_pruned(task.number, metrics.epoch, metrics.val.accuracy)

    def _end(self, task: Task, outcome: Outcome) -> None:
        work = self._scheduler.work_of(task)
        result = work.end(task, outcome, self._progress.pop(task.key))
        self._scheduler.add(task, outcome.epochs, outcome.seconds)
        self._record(task, outcome, result)
        self._tell(
            task,
            outcome.epochs,
            val_accuracy=outcome.val_accuracy,
            state=outcome.state,
            diverged=outcome.diverged,
            reason=outcome.reason,
        )
        if result is not None:
            for event in work.not_to_be_confirmed():
                self._watch(event)

    def _record(self, task: Task, outcome: Outcome, result: TrialResult | None) -> None:
        """Write the end of a training; a trial may take the place of another one's model."""
        retention = self._retention[task.combination]
        keeps = result is None or retention.keeps(task.number, outcome.val_accuracy)
        self._writer.put(End(task=task, outcome=outcome, keep_model=keeps, result=result))
        if keeps and result is not None and outcome.state == "COMPLETE":
            outdone = retention.add(task.number, outcome.val_accuracy)
            if outdone is not None:
                self._writer.put(DropModel(key=(task.combination, "trial", outdone)))

    def _after_death(self, group: UnderWay, death: Death) -> None:
        """Let the trainings of a dead trainer begin again, or give them up."""
        begun = group.since is not None or group.spent > 0
        if not begun:
            self._deaths_in_vain += 1
            if self._deaths_in_vain == MOST_ATTEMPTS:
                raise TrainerError(
                    f"trainers end before they can train ({death.reason}); "
                    "is there enough memory? --workers 1 needs less"
                )
        for task in group.tasks:
            if task.key in self._progress:
                self._retry(task, group, death, counts=begun)

    def _retry(self, task: Task, group: UnderWay, death: Death, *, counts: bool) -> None:
        progress = self._progress[task.key]
        if group.overdue:
            self._give_up(task, f"took longer than the limit of {self._time_limit:g} s")
        elif counts and progress.attempts == MOST_ATTEMPTS:
            self._give_up(task, f"crashed {MOST_ATTEMPTS} times (last: {death.reason})")
        else:
            progress.attempts += counts
            if counts:
                self._writer.put(Attempt(key=task.key, number=progress.attempts))
            self._scheduler.work_of(task).begin_again(task)

    def _give_up(self, task: Task, reason: str) -> None:
        """End a training as failed, with what its epochs have cost."""
        progress = self._progress[task.key]
        epochs = max(progress.accuracies, default=0)
        outcome = Outcome(state="FAIL", epochs=epochs, seconds=progress.seconds, reason=reason)
        self._end(task, outcome)

    def _seconds_to_limit(self) -> float | None:
        """Return the time until the first training has taken as long as it may."""
        if self._time_limit is None:
            return None
        now = time.monotonic()
        left = [
            self._time_limit - group.seconds(now)
            for group in self._under_way.values()
            if group.since is not None
        ]
        return max(0.0, min(left)) if left else None

    def _end_overdue(self) -> None:
        if self._time_limit is None:
            return
        now = time.monotonic()
        for trainer, group in self._under_way.items():
            if group.since is not None and group.seconds(now) >= self._time_limit:
                group.overdue = True
                trainer.kill()

    def _tell(self, task: Task, epoch: int, **facts: Any) -> None:
        event = Event(
            combination=task.combination,
            kind=task.kind,
            number=task.number,
            epoch=epoch,
            epochs=task.config.epochs,
            **facts,
        )
        self._watch(event)
