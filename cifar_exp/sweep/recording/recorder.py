"""The recorder: the one process of a sweep that controls trainers, decides on pruning and records.

The recorder holds the whole state of every training. So a trainer that dies is replaced, and its
trainings resume from their checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
from cifar_exp.training.messages import Group, Outcome, Step, TooWide

MAX_ATTEMPTS = 3


class TrainerError(Unavailable):
    """Trainers cannot be started, or die before they train."""


@dataclass(slots=True)
class _RunningGroup:
    """A group that is being trained."""

    tasks: tuple[Task, ...]
    spent: float = 0.0
    """Training time in seconds up to the last step."""
    since: float | None = None
    """When the trainer last began to train (monotonic clock); None while it does not train."""
    overdue: bool = False
    """Whether its trainer was killed because of the time limit."""

    def seconds(self, now: float) -> float:
        """Return the training time in seconds."""
        return self.spent if self.since is None else self.spent + now - self.since


class Recorder:
    """Trains and records the remaining trainings of a sweep.

    Args:
        scheduler: Chooses the next training.
        executor: Provides trainers.
        writer: Writes to the stores.
        retention: The model retention of each study, by its label.
        watch: Called with an event for every epoch, start and end of a training.
        new_group: Returns the group of some trainings, as a trainer gets it.
        time_limit: The longest time of a training in seconds; None for no limit.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        executor: Executor,
        writer: Writer,
        retention: Mapping[str, ModelRetention],
        watch: Watch,
        new_group: Callable[[Sequence[Task]], Group],
        time_limit: float | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._executor = executor
        self._writer = writer
        self._retention = retention
        self._watch = watch
        self._new_group = new_group
        self._time_limit = time_limit
        self._running: dict[Trainer, _RunningGroup] = {}
        self._progress: dict[Key, Progress] = {}
        self._early_deaths = 0

    def run(self) -> None:
        """Train until no work remains, and wait until everything is written.

        Raises:
            TrainerError: Trainers die before they can train.
            Exception: The error of a failed write, or of a trainer's machine.
        """
        self._start_ready()
        while self._running:
            for trainer, message in self._executor.messages(self._seconds_to_limit()):
                self._receive(trainer, message)
            self._kill_overdue()
            self._writer.check()
            self._start_ready()
        self._writer.close()

    def _start_ready(self) -> None:
        while (free := self._executor.num_free) and (tasks := self._scheduler.next(free)):
            group = _RunningGroup(tasks=tasks)
            for task in tasks:
                self._start(task, group)
            self._running[self._executor.begin(self._new_group(tasks))] = group

    def _start(self, task: Task, group: _RunningGroup) -> None:
        fault_injection.point("after_ask", training=task.name)
        if task.key not in self._progress:
            self._progress[task.key] = Progress()
            self._writer.put(Begin(task=task))
        self._notify(task, 0, group=group.tasks[0].name, together=len(group.tasks))

    def _receive(self, trainer: Trainer, message: Message) -> None:
        group = self._running[trainer]
        match message:
            case Begun():
                group.since = time.monotonic()
            case Step():
                self._early_deaths = 0
                self._step(trainer, group, message)
            case Death():
                del self._running[trainer]
                self._after_death(group, message)
            case TooWide(width=width):
                del self._running[trainer]
                self._scheduler.narrow(self._unfinished(group), width)
            case Exception():
                raise message

    def _step(self, trainer: Trainer, group: _RunningGroup, step: Step) -> None:
        group.spent, group.since = group.seconds(time.monotonic()), None
        decisions = {
            index: self._add_epoch(group.tasks[index], metrics)
            for index, metrics in step.epochs.items()
        }
        if decisions:
            trainer.go_on(decisions)
            group.since = time.monotonic()
        else:
            del self._running[trainer]
        for index, outcome in step.outcomes.items():
            self._end(group.tasks[index], outcome)

    def _add_epoch(self, task: Task, metrics: EpochMetrics) -> bool:
        """Record an epoch of a training; return whether the training continues."""
        progress = self._progress[task.key]
        if not progress.add(metrics):  # recorded and decided before its trainer died
            return metrics.epoch != progress.last_epoch
        self._writer.epoch(task, metrics)
        self._notify(
            task,
            metrics.epoch,
            val_accuracy=metrics.val.accuracy,
            images_per_second=metrics.images_per_second,
        )
        if task.kind == "confirmation":
            return True
        tuning = self._scheduler.work_of(task).tuning
        if tuning.is_to_be_pruned(task.number, metrics.epoch, metrics.val.accuracy):
            progress.last_epoch = metrics.epoch
        return progress.last_epoch is None

    def _end(self, task: Task, outcome: Outcome) -> None:
        work = self._scheduler.work_of(task)
        result = work.end(task, outcome, self._progress.pop(task.key))
        self._scheduler.add(task, outcome.epochs, outcome.seconds)
        self._record(task, outcome, result)
        self._notify(
            task,
            outcome.epochs,
            val_accuracy=outcome.val_accuracy,
            state=outcome.state,
            diverged=outcome.diverged,
            reason=outcome.reason,
        )
        if result is not None:
            for event in work.not_left():
                self._watch(event)
        if look := self._scheduler.look():
            self._watch(look)
            for event in self._scheduler.not_left():
                self._watch(event)

    def _record(self, task: Task, outcome: Outcome, result: TrialResult | None) -> None:
        """Write the end of a training; the model of a better trial replaces the previous best."""
        retention = self._retention[task.label]
        keeps = result is None or retention.keeps(task.number, outcome.val_accuracy)
        self._writer.put(End(task=task, outcome=outcome, keep_model=keeps, result=result))
        if keeps and result is not None and outcome.state == "COMPLETE":
            replaced = retention.add(task.number, outcome.val_accuracy)
            if replaced is not None:
                self._writer.put(DropModel(key=(task.label, "trial", replaced)))

    def _after_death(self, group: _RunningGroup, death: Death) -> None:
        """Retry the trainings of a dead trainer, or end them as failed."""
        has_begun = group.since is not None or group.spent > 0
        if not has_begun:
            self._early_deaths += 1
            if self._early_deaths == MAX_ATTEMPTS:
                raise TrainerError(
                    f"trainers end before they can train ({death.reason}); "
                    "is there enough memory? --workers 1 needs less"
                )
        for task in self._unfinished(group):
            self._retry(task, group, death, counts=has_begun)

    def _unfinished(self, group: _RunningGroup) -> list[Task]:
        """Return the trainings of a group that have no outcome."""
        return [task for task in group.tasks if task.key in self._progress]

    def _retry(self, task: Task, group: _RunningGroup, death: Death, *, counts: bool) -> None:
        progress = self._progress[task.key]
        if group.overdue:
            self._fail(task, f"took longer than the limit of {self._time_limit:g} s")
        elif counts and progress.attempts == MAX_ATTEMPTS:
            self._fail(task, f"crashed {MAX_ATTEMPTS} times (last: {death.reason})")
        else:
            progress.attempts += counts
            if counts:
                self._writer.put(Attempt(key=task.key, number=progress.attempts))
            # The last attempt is made alone, so that it fails by its own fault only.
            self._scheduler.again(task, alone=progress.attempts == MAX_ATTEMPTS)

    def _fail(self, task: Task, reason: str) -> None:
        """End a training as failed, with the time of its finished epochs."""
        progress = self._progress[task.key]
        epochs = max(progress.accuracies, default=0)
        outcome = Outcome(state="FAIL", epochs=epochs, seconds=progress.seconds, reason=reason)
        self._end(task, outcome)

    def _seconds_to_limit(self) -> float | None:
        """Return the seconds until the next training reaches the time limit."""
        if self._time_limit is None:
            return None
        now = time.monotonic()
        left = [
            self._time_limit - group.seconds(now)
            for group in self._running.values()
            if group.since is not None
        ]
        return max(0.0, min(left)) if left else None

    def _kill_overdue(self) -> None:
        if self._time_limit is None:
            return
        now = time.monotonic()
        for trainer, group in self._running.items():
            if group.since is not None and group.seconds(now) >= self._time_limit:
                group.overdue = True
                trainer.kill()

    def _notify(self, task: Task, epoch: int, **facts: Any) -> None:
        event = Event(
            study=task.label,
            kind=task.kind,
            number=task.number,
            epoch=epoch,
            epochs=task.config.epochs,
            **facts,
        )
        self._watch(event)
