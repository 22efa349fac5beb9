"""The units of work of a sweep: tune one combination, confirm one seed of it.

A unit is a plain function whose state lives in Optuna and MLflow, so it can run in any process,
and again: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cifar_exp import trial
from cifar_exp.comparison import best_trial
from cifar_exp.datasets import open_dataset
from cifar_exp.event import Watch
from cifar_exp.experiment import Combination, Experiment
from cifar_exp.record import RunRecord
from cifar_exp.study import tune
from cifar_exp.task import Task
from cifar_exp.tracking import Tracker
from cifar_exp.training import EpochMetrics


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


def tune_combination(job: Job, combination: Combination, watch: Watch) -> None:
    """Bring the study of a combination to its number of trials."""
    tune(_task(job, combination), job.storage_url, watch)


def confirm_combination(job: Job, combination: Combination, number: int, watch: Watch) -> None:
    """Train the best setting of a combination on fresh seed `number`, and score it on the test set.

    Nothing happens where the combination has no complete trial, or the seed is confirmed.
    """
    task = _task(job, combination)
    records = task.records()
    best = best_trial(r for r in records if r.number in range(job.experiment.search.trials))
    if best is None:
        return
    done = [r for r in records if r.finished and _confirms(r, best, number)]
    if done:
        watch(task.kept(f"seed {number}", done[0]))
    else:
        _confirm(task, best, number, records, watch)


def _confirm(
    task: Task, best: RunRecord, number: int, records: Sequence[RunRecord], watch: Watch
) -> None:
    experiment, combination = task.experiment, task.combination
    params = experiment.parse(combination, best.params)
    config = experiment.trial(combination, params, experiment.confirmation_seed(number))
    name = f"seed {number}"
    confirms = str(best.number)
    run = task.open_run("confirmation", name, number, config, records, confirms=confirms)

    def after_epoch(metrics: EpochMetrics) -> bool:
        watch(task.event(name, metrics.epoch, metrics.val.accuracy))
        return False

    outcome = trial.record(config, task.data, run, stop=after_epoch, test=task.data.test)
    watch(task.event(name, outcome.epochs, outcome.val_accuracy, outcome.state))


def _confirms(record: RunRecord, best: RunRecord, number: int) -> bool:
    return (record.kind, record.confirms, record.number) == ("confirmation", best.number, number)


def _task(job: Job, combination: Combination) -> Task:
    return Task(
        experiment=job.experiment,
        combination=combination,
        data=open_dataset(job.data_path),
        tracker=Tracker(job.tracking_uri, job.experiment.name, job.mlflow_experiment_id),
        parent=job.parents[combination.name],
    )
