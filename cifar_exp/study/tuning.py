"""The study that tunes one combination.

MLflow's record decides what has been done; the study follows it. Trials are numbered from 0, each
number is trained once, and a trial that was interrupted is trained again with its own parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, Trial, TrialState

from cifar_exp.comparison import best_trial
from cifar_exp.event import Watch
from cifar_exp.experiment import Choices, Combination, Experiment, Range, Value
from cifar_exp.record import RunRecord
from cifar_exp.study import samplers
from cifar_exp.study.storage import connect
from cifar_exp.task import Task
from cifar_exp.training import EpochMetrics
from cifar_exp.trial import Outcome, Stop, record

Distributions = Mapping[str, BaseDistribution]

PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "none": lambda _: optuna.pruners.NopPruner(),
    "median": lambda _: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(1, epochs, reduction_factor=3),
}


def tune(task: Task, storage_url: str, watch: Watch) -> None:
    """Bring the study of a combination to its number of trials, from wherever it stands.

    Args:
        task: The combination, its data and where it is recorded.
        storage_url: The Optuna storage.
        watch: Told of every epoch and trial that is trained.
    """
    space = distributions(task.experiment, task.combination)
    recorded = {r.number: r for r in task.records() if r.kind == "trial" and r.finished}
    study = _open_study(task, storage_url, set(recorded))
    begun = {t.number: t for t in study.get_trials(deepcopy=False)}
    for number in range(task.experiment.search.trials):
        frozen = begun.get(number)
        if number not in recorded:
            _train(task, study, frozen, number, space, watch)
        elif frozen is None or not frozen.state.is_finished():
            held = recorded[number]
            _tell_recorded(study, frozen, held, space, task.tracker.accuracies(held.run_id))


def distributions(experiment: Experiment, combination: Combination) -> dict[str, BaseDistribution]:
    """Say in Optuna's terms what the study of a combination searches."""
    space = experiment.space(combination)
    return {name: _distribution(values) for name, values in space.items()}


def _distribution(values: Range | Choices) -> BaseDistribution:
    match values:
        case Choices(values=choices):
            return CategoricalDistribution(choices)
        case Range(low=int() as low, high=int() as high, log=log):
            return IntDistribution(low, high, log=log)
        case Range(low=low, high=high, log=log):
            return FloatDistribution(low, high, log=log)


def _open_study(task: Task, storage_url: str, recorded: set[int | None]) -> optuna.Study:
    """Open the study; one that holds trials MLflow lacks is made anew and follows MLflow."""
    study = _load_study(task, storage_url)
    finished = {t.number for t in study.get_trials(deepcopy=False) if t.state.is_finished()}
    if finished <= recorded:
        return study
    optuna.delete_study(study_name=study.study_name, storage=study._storage)
    return _load_study(task, storage_url)


def _load_study(task: Task, storage_url: str) -> optuna.Study:
    experiment = task.experiment
    study = optuna.create_study(
        storage=connect(storage_url),
        study_name=f"{experiment.name}/{task.combination.name} {task.identity}",
        direction="maximize",
        load_if_exists=True,
        pruner=PRUNERS[experiment.search.pruner](experiment.epochs),
    )
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        study.set_metric_names(["val_accuracy"])
    return study


def _train(
    task: Task,
    study: optuna.Study,
    frozen: FrozenTrial | None,
    number: int,
    space: Distributions,
    watch: Watch,
) -> None:
    """Train one trial and tell the study how it ended, after MLflow knows."""
    experiment, combination = task.experiment, task.combination
    watch(task.began("trial", number))
    study.sampler = samplers.make(
        experiment.search.sampler, dict(space), (experiment.seed, combination.name), number
    )
    trial = study.ask() if frozen is None else Trial(study, frozen._trial_id)
    config = experiment.trial(combination, _suggest(trial, space), experiment.seed)
    run = task.open_run("trial", f"#{number}", number, config)
    trial.set_user_attr("mlflow_run_id", run.run_id)
    outcome = record(
        config,
        task.data,
        run,
        stop=_pruning(task, study, trial, watch),
        keep_model=lambda outcome: experiment.keep_models == "all" or _is_best(task, outcome),
    )
    _drop_other_models(task)
    accuracy = outcome.val_accuracy
    study.tell(trial, accuracy if outcome.state == "COMPLETE" else None, TrialState[outcome.state])
    watch(task.ended("trial", number, outcome))


def _pruning(task: Task, study: optuna.Study, trial: Trial, watch: Watch) -> Stop:
    """Return what tells the study of each epoch, and asks it whether to prune the trial."""
    frozen = study._storage.get_trial(trial._trial_id)
    last_reported = max(frozen.intermediate_values, default=0)  # before an interruption

    def after_epoch(metrics: EpochMetrics) -> bool:
        accuracy = metrics.val.accuracy
        watch(task.epoch("trial", trial.number, metrics))
        if metrics.epoch > last_reported:
            trial.report(accuracy, metrics.epoch)
        if metrics.epoch < last_reported:
            return False  # it was not pruned here before the interruption
        return metrics.epoch < task.experiment.epochs and trial.should_prune()

    return after_epoch


def _suggest(trial: Trial, space: Distributions) -> dict[str, Value]:
    """Draw every searched setting; those that the trial has already stay as they are."""
    return {name: _draw(trial, name, distribution) for name, distribution in space.items()}


def _draw(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case FloatDistribution(low=low, high=high, log=log):
            return trial.suggest_float(name, low, high, log=log)
        case IntDistribution(low=low, high=high, log=log):
            return trial.suggest_int(name, low, high, log=log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise TypeError(f"{distribution!r} is not searched here")


def _tell_recorded(
    study: optuna.Study,
    frozen: FrozenTrial | None,
    held: RunRecord,
    space: Distributions,
    accuracies: Mapping[int, float],
) -> None:
    """Give the study a trial that MLflow holds: end its own copy, or add one."""
    assert held.state is not None
    assert held.number is not None
    state = TrialState[held.state]
    value = held.metrics.get("val_accuracy") if state == TrialState.COMPLETE else None
    if frozen is not None:
        study.tell(held.number, value, state=state)
        return
    study.add_trial(
        optuna.trial.create_trial(
            state=state,
            value=value,
            params={name: _parse(space[name], held.params[name]) for name in space},
            distributions=dict(space),
            intermediate_values=dict(accuracies),
            user_attrs={"mlflow_run_id": held.run_id},
        )
    )


def _parse(distribution: BaseDistribution, text: str) -> float | int:
    return float(text) if isinstance(distribution, FloatDistribution) else int(text)


def _is_best(task: Task, outcome: Outcome) -> bool:
    """Say whether a trial that has just ended is better than all before it."""
    best = best_trial(task.records())
    accuracy = outcome.val_accuracy
    return best is None or (accuracy is not None and accuracy > best.metrics["val_accuracy"])


def _drop_other_models(task: Task) -> None:
    """Delete the models of all trials but the best, where only that is to be kept."""
    if task.experiment.keep_models == "all":
        return
    records = task.records()
    best = best_trial(records)
    for record_ in records:
        if record_.kind == "trial" and record_.state == "COMPLETE" and record_ != best:
            task.tracker.delete_models(record_.run_id)
