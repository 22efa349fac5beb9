"""The units of work of a sweep: tune one combination, confirm one seed of it.

A unit is a plain function whose state lives in Optuna and MLflow, so it can run in any process,
and again: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_exp.comparison import best_trial
from cifar_exp.components.datasets import open_dataset
from cifar_exp.experiment import Combination, Experiment
from cifar_exp.records import RunRecord
from cifar_exp.study import tune
from cifar_exp.sweep.disk_space import told_when_full
from cifar_exp.system.locks import Units
from cifar_exp.tracking import Tracker
from cifar_exp.training import trial
from cifar_exp.training.context import Task
from cifar_exp.training.death import Death
from cifar_exp.training.events import Event, TrainingKind, Watch
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.retries import settle
from cifar_exp.training.trial import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What all units of a sweep share, in a form that any process can take."""

    experiment: Experiment
    data_path: Path
    tracking_uri: str
    mlflow_experiment_id: str
    storage_url: str
    parents: Mapping[str, str]
    """The run id of each combination, by its name."""

    @property
    def units(self) -> Units:
        """The locks of the units of work."""
        return Units(store=self.tracking_uri, experiment=self.experiment.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What is left to train of a combination."""

    combination: Combination
    tuning: bool
    """Whether trials are left. If so, only the tuning shows which confirmations are."""
    seeds: tuple[int, ...] = ()
    """The numbers of the confirmations that are left."""


def resume(job: Job, combination: Combination, watch: Watch) -> Left:
    """Tell of the trainings of a combination that are there, and find what is left to train.

    Nothing is trained here. Where no trial is left, the study is brought in step with MLflow,
    unless another process is at it.
    """
    task = _task(job, combination)
    records = task.records()
    numbers = range(job.experiment.search.trials)
    trials = {r.number: r for r in records if r.kind == "trial" and r.finished}
    for number in numbers:
        if number in trials:
            watch(task.kept("trial", number, trials[number]))
    if not trials.keys() >= set(numbers):
        return Left(combination=combination, tuning=True)
    with job.units.held(task.identity) as mine:
        if mine:
            tune(task, job.storage_url, watch)
    return Left(combination=combination, tuning=False, seeds=_unsettled(task, records, watch))


def is_free(job: Job, combination: Combination, number: int | None) -> bool:
    """Say whether no process tunes a combination, or is at its confirmation `number`."""
    return job.units.is_free(_task(job, combination).identity, number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """Brings the study of a combination to its number of trials."""

    job: Job
    combination: Combination

    def run(self, watch: Watch) -> bool:
        """Train what trials are left; say whether that is done, and not another process at it."""
        task = _task(self.job, self.combination)
        with told_when_full(), self.job.units.held(task.identity) as mine:
            if mine:
                tune(task, self.job.storage_url, watch)
        return mine

    def died(self, death: Death, watch: Watch) -> bool:
        """Record that a process has died at it; say whether a trial was under way there."""
        task = _task(self.job, self.combination)
        with self.job.units.held(task.identity) as mine:
            if not mine:
                return True  # another process has taken it up
            trials = [record for record in task.records() if record.kind == "trial"]
            return _settle(task, "trial", trials, death, watch)


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """Trains the best setting of a combination on a fresh seed, and scores it on the test set."""

    job: Job
    combination: Combination
    number: int

    def run(self, watch: Watch) -> bool:
        """Train, unless the combination has no complete trial or the seed is confirmed.

        Returns whether that is done, and not another process at it.
        """
        task = _task(self.job, self.combination)
        with told_when_full(), self.job.units.held(task.identity, self.number) as mine:
            if mine:
                _confirm_once(task, self.number, watch)
        return mine

    def died(self, death: Death, watch: Watch) -> bool:
        """Record that a process has died at it; say whether it was being trained."""
        task = _task(self.job, self.combination)
        wanted = ("confirmation", self.number)
        with self.job.units.held(task.identity, self.number) as mine:
            if not mine:
                return True  # another process has taken it up
            own = [record for record in task.records() if (record.kind, record.number) == wanted]
            return _settle(task, "confirmation", own, death, watch)


def _settle(
    task: Task, kind: TrainingKind, records: Sequence[RunRecord], death: Death, watch: Watch
) -> bool:
    """Count the attempt of what a dead process was at, tell what is given up; say if it was any."""
    hit = {record.run_id for record in settle(task.tracker, records, death)}
    for record in task.records() if hit else ():
        if record.finished and record.run_id in hit:
            watch(task.lost(kind, record))
    return bool(hit)


def _confirm_once(task: Task, number: int, watch: Watch) -> None:
    records = task.records()
    best = _best(task, records)
    if best is not None and not _confirmed(records, best, number):
        _confirm(task, best, number, records, watch)
    else:
        watch(_settled(task, records, best, number))


def _best(task: Task, records: Sequence[RunRecord]) -> RunRecord | None:
    """Return the best of the trials that the definition asks for."""
    numbers = range(task.experiment.search.trials)
    return best_trial(record for record in records if record.number in numbers)


def _unsettled(task: Task, records: Sequence[RunRecord], watch: Watch) -> tuple[int, ...]:
    """Return the numbers of the confirmations that are left, and tell of the others."""
    best = _best(task, records)
    numbers = range(1, task.experiment.confirm.seeds + 1)
    left = [n for n in numbers if best is not None and not _confirmed(records, best, n)]
    for number in sorted(set(numbers) - set(left)):
        watch(_settled(task, records, best, number))
    return tuple(left)


def _settled(
    task: Task, records: Sequence[RunRecord], best: RunRecord | None, number: int
) -> Event:
    """Tell of a confirmation that is there already, or has nothing to confirm."""
    if best is None:
        nothing = Outcome(state="FAIL", reason="no trial has a result")
        return task.ended("confirmation", number, nothing)
    return task.kept("confirmation", number, _confirmed(records, best, number)[0])


def _confirm(
    task: Task, best: RunRecord, number: int, records: Sequence[RunRecord], watch: Watch
) -> None:
    experiment, combination = task.experiment, task.combination
    watch(task.began("confirmation", number))
    params = experiment.parse(combination, best.params)
    config = experiment.trial(combination, params, experiment.confirmation_seed(number))
    name = f"seed {number}"
    confirms = str(best.number)
    run = task.open_run("confirmation", name, number, config, records, confirms=confirms)

    def after_epoch(metrics: EpochMetrics) -> bool:
        watch(task.epoch("confirmation", number, metrics))
        return False

    keeper = task.keeper(run, config)
    outcome = trial.record(
        config, task.data, run, stop=after_epoch, test=task.data.test, keeper=keeper
    )
    watch(task.ended("confirmation", number, outcome))


def _confirmed(records: Sequence[RunRecord], best: RunRecord, number: int) -> list[RunRecord]:
    """Return the finished confirmations of a trial on seed `number`."""
    wanted = ("confirmation", best.number, number)
    return [r for r in records if r.finished and (r.kind, r.confirms, r.number) == wanted]


def _task(job: Job, combination: Combination) -> Task:
    return Task(
        experiment=job.experiment,
        combination=combination,
        data=open_dataset(job.data_path),
        tracker=Tracker(job.tracking_uri, job.experiment.name, job.mlflow_experiment_id),
        parent=job.parents[combination.name],
    )
