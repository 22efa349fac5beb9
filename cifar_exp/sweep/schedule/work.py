"""The remaining work of one study: first its trials, then its confirmations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from cifar_exp.comparison import best_trials, confirmations, num_trials
from cifar_exp.experiment import Combination, Experiment, TrialConfig, Value, num_settings
from cifar_exp.records import RunRecord, study_label
from cifar_exp.study import TrialResult, Tuning
from cifar_exp.sweep.events import Event, TrainingKind
from cifar_exp.sweep.schedule.task import Key, Progress, Task
from cifar_exp.training.messages import Outcome

MAX_READY = 64
"""Number of ready trainings that a study offers at once: each costs a call of the sampler."""


class Work:
    """The trainings of one study: those that have ended, and those that can start.

    Nothing can start before `num_seeds` is set.

    Args:
        experiment: The definition.
        combination: The combination.
        study: The number of the study, from 1.
        identity: The hash of everything that the combination's results depend on.
        tuning: The tuning, which knows all trials in `records` unless all trials have ended.
        records: The runs of the study in MLflow.
    """

    def __init__(
        self,
        experiment: Experiment,
        combination: Combination,
        study: int,
        identity: str,
        tuning: Tuning,
        records: Iterable[RunRecord],
    ) -> None:
        self.combination = combination
        self.study = study
        self.label = study_label(combination.name, study)
        self.num_seeds = 0
        """How many confirmations are needed now; 0 if the study is not needed."""
        self.identity = identity
        self.tuning = tuning
        self._experiment = experiment
        finished = [record for record in records if record.finished]
        numbers = range(experiment.search.trials)
        self.trials: dict[int, RunRecord] = {
            r.number: r
            for r in finished
            if r.kind == "trial" and r.number is not None and r.number in numbers
        }
        """The trials that have ended, by number."""
        self.space_size = num_settings(experiment.space(combination))
        """Number of settings in the search space."""
        self.num_trials = num_trials(self.trials.values(), experiment.design, self.space_size)
        """Number of trials of the study, those that have ended included."""
        self.num_repeated = self.num_trials - experiment.trials_of(combination)
        """How many of them an older version trained in addition, with a setting tried before."""
        self._confirmations = [r for r in finished if r.kind == "confirmation"]
        self._unreported = {r.run_id for r in finished}
        """Trainings of earlier executions for which `kept` has not yielded an event."""
        self._num_not_confirmed = 0
        """How many confirmations were reported as not possible."""
        self._begun: set[Key] = set()
        self._tasks: dict[Key, Task] = {}

    @property
    def best(self) -> RunRecord | None:
        """The best trial that has ended."""
        return best_trials(self.trials.values()).get(self.study)

    @property
    def tuned(self) -> bool:
        """Whether all trials have ended."""
        return len(self.trials) == self.num_trials

    @property
    def is_unfinished(self) -> bool:
        """Whether trainings that are needed have not ended."""
        if not self.num_seeds:
            return False
        return not self.tuned or (self.best is not None and len(self.confirmed) < self.num_seeds)

    @property
    def results(self) -> list[RunRecord]:
        """The trials that have ended, and the confirmations of the best setting."""
        trials = list(self.trials.values())
        return [*trials, *confirmations([*trials, *self._confirmations])]

    @property
    def confirmed(self) -> dict[int, RunRecord]:
        """The confirmations of the best setting that have ended, by number."""
        ended = {r.number: r for r in self.results if r.kind == "confirmation"}
        return {number: ended[number] for number in self._seed_numbers if number in ended}

    def ready(self) -> Iterator[Task]:
        """Yield the trainings that can start now, at most MAX_READY."""
        if not self.num_seeds:
            return iter(())
        tasks = self._confirmation_tasks() if self.tuned else self._trial_tasks()
        return islice((task for task in tasks if task.key not in self._begun), MAX_READY)

    def not_left(self) -> Iterator[Event]:
        """Yield an event for each training that is needed but not left to train."""
        yield from self.kept()
        yield from self.not_to_be_confirmed()

    def kept(self) -> Iterator[Event]:
        """Yield an event for each training that an earlier execution has finished, if it is needed.

        Later calls yield those that have become needed since.
        """
        if not self.num_seeds:
            return
        confirmed = self.confirmed.values() if self.tuned else ()  # the best may still change
        for record in (*self.trials.values(), *confirmed):
            if record.run_id not in self._unreported:
                continue
            self._unreported.remove(record.run_id)
            yield self._event(
                "trial" if record.kind == "trial" else "confirmation",
                record.number or 0,
                self._experiment.epochs,
                val_accuracy=record.metrics.get("val_accuracy"),
                state=record.state,
                diverged=record.diverged,
                reason=record.tags.get("reason"),
                kept=True,
            )

    def not_to_be_confirmed(self) -> Iterator[Event]:
        """Yield an event for each confirmation if all trials have ended without a result.

        Later calls yield those that have become needed since.
        """
        if self.tuned and self.best is None:
            for number in self._seed_numbers[self._num_not_confirmed :]:
                self._num_not_confirmed = number
                yield self._event(
                    "confirmation", number, 0, state="FAIL", reason="no trial has a result"
                )

    def num_after(self, task: Task) -> int:
        """Return the number of trainings that depend on a training, one after the other.

        The trials of a block count once, and so do the confirmations, as they run in parallel.
        """
        if task.kind == "confirmation":
            return 0
        size = self.tuning.block_size
        num_blocks = max(1, math.ceil(self.num_trials / size))
        return num_blocks - int(task.number // size)

    def begin(self, task: Task) -> None:
        """Mark a training as started."""
        self._begun.add(task.key)

    def begin_again(self, task: Task) -> None:
        """Mark a training as not started, so that it is retried."""
        self._begun.discard(task.key)

    def end(self, task: Task, outcome: Outcome, progress: Progress) -> TrialResult | None:
        """Record the end of a training; return the trial's result for its study."""
        if task.kind == "confirmation":
            self._confirmations.append(_record(task, outcome, {}))
            return None
        params = self.tuning.ask(task.number)
        self.trials[task.number] = _record(task, outcome, params)
        result = TrialResult(
            number=task.number,
            params=params,
            accuracies=progress.accuracies,
            state=outcome.state,
            val_accuracy=outcome.val_accuracy,
        )
        self.tuning.tell(result)
        return result

    def _event(self, kind: TrainingKind, number: int, epoch: int, **facts: Any) -> Event:
        return Event(
            study=self.label,
            kind=kind,
            number=number,
            epoch=epoch,
            epochs=self._experiment.epochs,
            **facts,
        )

    @property
    def _seed_numbers(self) -> range:
        return range(1, self.num_seeds + 1)

    def _trial_tasks(self) -> Iterator[Task]:
        without_result = (n for n in itertools.count() if n not in self.trials)
        remaining = list(islice(without_result, self.num_trials - len(self.trials)))
        size = self.tuning.block_size
        for number in remaining:
            if number // size == remaining[0] // size:
                yield self._task("trial", number)

    def _confirmation_tasks(self) -> Iterator[Task]:
        best, confirmed = self.best, self.confirmed
        if best is not None:
            for number in self._seed_numbers:
                if number not in confirmed:
                    yield self._task("confirmation", number, best)

    def _task(self, kind: TrainingKind, number: int, best: RunRecord | None = None) -> Task:
        key = (self.label, kind, number)
        if key not in self._tasks:
            self._tasks[key] = Task(
                combination=self.combination.name,
                combination_id=self.identity,
                study=self.study,
                kind=kind,
                number=number,
                config=self._config(number, best),
                confirms=None if best is None else best.number,
            )
        return self._tasks[key]

    def _config(self, number: int, best: RunRecord | None) -> TrialConfig:
        experiment, combination = self._experiment, self.combination
        if best is None:
            seed = experiment.study_seed(self.study)
            return experiment.trial(combination, self.tuning.ask(number), seed)
        params = experiment.parse(combination, best.params)
        seed = experiment.confirmation_seed(number, self.study)
        return experiment.trial(combination, params, seed)


def _record(task: Task, outcome: Outcome, params: Mapping[str, Value]) -> RunRecord:
    """Return the record of a training that has just ended, with the fields that are used here."""
    return RunRecord(
        run_id="",
        experiment="",
        kind=task.kind,
        name=task.name,
        status="",
        start_time=0,
        study=task.study,
        number=task.number,
        state=outcome.state,
        confirms=task.confirms,
        params={name: str(value) for name, value in params.items()},
        metrics=outcome.metrics(),
    )
