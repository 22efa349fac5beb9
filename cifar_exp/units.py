"""The units of work of a sweep: tune one combination, confirm one seed of it.

A unit is a plain function whose state lives in Optuna and MLflow, so it can run in any process,
and again: it goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cifar_exp import trial
from cifar_exp.comparison import best_trial
from cifar_exp.datasets import Dataset, open_dataset
from cifar_exp.event import Event, Watch
from cifar_exp.experiment import Combination, Experiment, TrialConfig
from cifar_exp.record import RunRecord
from cifar_exp.study import Tuning, tune
from cifar_exp.tracking import Tracker
from cifar_exp.training import EpochMetrics, evaluate


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
    tune(_tuning(job, combination), watch)


def confirm_combination(job: Job, combination: Combination, number: int, watch: Watch) -> None:
    """Train the best setting of a combination on fresh seed `number`, and score it on the test set.

    Nothing happens where the combination has no complete trial, or the seed is confirmed.
    """
    tuning = _tuning(job, combination)
    records = tuning.tracker.records(combination_id=tuning.identity)
    best = best_trial(r for r in records if r.number in range(job.experiment.search.trials))
    if best is None:
        return
    done = [r for r in records if _confirms(r, best, number) and r.finished]
    if done:
        accuracy = done[0].metrics.get("val_accuracy")
        epoch, state = job.experiment.epochs, done[0].state
        watch(_event(tuning, number, epoch=epoch, val_accuracy=accuracy, state=state, kept=True))
        return
    _confirm(tuning, best, number, watch)


def _confirm(tuning: Tuning, best: RunRecord, number: int, watch: Watch) -> None:
    experiment, combination = tuning.experiment, tuning.combination
    config = experiment.trial(
        combination,
        experiment.parse(combination, best.params),
        experiment.confirmation_seed(number),
    )
    run = tuning.tracker.open_run(
        "confirmation",
        f"{combination.name} seed {number}",
        parent=tuning.parent,
        tags={
            "combination": combination.name,
            "combination_id": tuning.identity,
            "number": str(number),
            "confirms": str(best.number),
        },
        params=trial.params(config, tuning.data),
    )

    def after_epoch(metrics: EpochMetrics) -> bool:
        watch(_event(tuning, number, epoch=metrics.epoch, val_accuracy=metrics.val.accuracy))
        return False

    def test_scores(model: torch.nn.Module) -> dict[str, float]:
        return _test_scores(model, config, tuning.data)

    outcome = trial.record(config, tuning.data, run, stop=after_epoch, score=test_scores)
    accuracy, state = outcome.val_accuracy, outcome.state
    watch(_event(tuning, number, epoch=outcome.epochs, val_accuracy=accuracy, state=state))


def _test_scores(model: torch.nn.Module, config: TrialConfig, data: Dataset) -> dict[str, float]:
    scores = evaluate(model, config.loss_settings, data.test, config.precision)
    return {"test_accuracy": scores.accuracy, "test_nll": scores.nll}


def _confirms(record: RunRecord, best: RunRecord, number: int) -> bool:
    return (record.kind, record.confirms, record.number) == ("confirmation", best.number, number)


def _event(tuning: Tuning, number: int, **told: Any) -> Event:
    return Event(
        combination=tuning.combination.name,
        training=f"seed {number}",
        epochs=tuning.experiment.epochs,
        **told,
    )


def _tuning(job: Job, combination: Combination) -> Tuning:
    return Tuning(
        experiment=job.experiment,
        combination=combination,
        data=open_dataset(job.data_path),
        tracker=Tracker(job.tracking_uri, job.experiment.name, job.mlflow_experiment_id),
        parent=job.parents[combination.name],
        storage_url=job.storage_url,
    )
