"""The study that tunes one combination.

MLflow's record decides what has been done; the study follows it. Trials are numbered from 0, each
number is trained once, and a trial that was interrupted is trained again with its own parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from cifar_exp.experiment import Choices, Combination, Experiment, Range, Value
from cifar_exp.records import RunRecord
from cifar_exp.study import samplers
from cifar_exp.study.model_retention import STORED_MODELS, StoredModels
from cifar_exp.study.pruners import PRUNERS, is_to_be_pruned
from cifar_exp.study.storage import connect
from cifar_exp.system import fault_injection
from cifar_exp.tracking import Run
from cifar_exp.training.context import Task
from cifar_exp.training.events import Watch
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.trial import Stop, record

Distributions = Mapping[str, BaseDistribution]


def tune(task: Task, storage_url: str, watch: Watch) -> None:
    """Bring the study of a combination to its number of trials, from wherever it stands.

    Args:
        task: The combination, its data and where it is recorded.
        storage_url: The Optuna storage.
        watch: Told of every epoch and trial that is trained.
    """
    space = distributions(task.experiment, task.combination)
    records = task.records()
    recorded = {r.number: r for r in records if r.kind == "trial" and r.finished}
    models = STORED_MODELS[task.experiment.keep_models](task.tracker, records)
    study = _open_study(task, storage_url, set(recorded))
    begun = {t.number: t for t in study.get_trials(deepcopy=False)}
    for number in range(task.experiment.search.trials):
        frozen = begun.get(number)
        if number not in recorded:
            trial = _begin(task, study, frozen, number, space)
            fault_injection.point("after_ask", training=f"{task.combination.name} #{number}")
            watch(task.began("trial", number))
            _train(task, study, trial, space, records, models, watch)
        elif frozen is None or not frozen.state.is_finished():
            held = recorded[number]
            _tell_recorded(study, frozen, held, space, task.tracker.accuracies(held.run_id))
            watch(task.kept("trial", number, held))  # its process may have died before it did


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


def open_study(experiment: Experiment, name: str, storage: BaseStorage) -> optuna.Study:
    """Open the study `name` of a combination, with the experiment's pruner, or make it."""
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=PRUNERS[experiment.search.pruner](experiment.epochs),
    )
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        study.set_metric_names(["val_accuracy"])
    return study


def study_name(experiment: Experiment, combination: Combination, identity: str) -> str:
    """Name the study of a combination; Hyperband draws a trial's bracket from the name too."""
    return f"{experiment.name}/{combination.name} {identity}"


def _open_study(task: Task, storage_url: str, recorded: set[int | None]) -> optuna.Study:
    """Open the study; one that holds trials MLflow lacks is made anew and follows MLflow."""
    name = study_name(task.experiment, task.combination, task.identity)
    storage = connect(storage_url)
    study = open_study(task.experiment, name, storage)
    finished = {t.number for t in study.get_trials(deepcopy=False) if t.state.is_finished()}
    if finished <= recorded:
        return study
    optuna.delete_study(study_name=name, storage=storage)
    return open_study(task.experiment, name, storage)


def _begin(
    task: Task,
    study: optuna.Study,
    frozen: FrozenTrial | None,
    number: int,
    space: Distributions,
) -> Trial:
    """Begin the trial of this number, or go on with the one that an interruption has left."""
    experiment = task.experiment
    study.sampler = samplers.make(
        experiment.search.sampler, dict(space), (experiment.seed, task.combination.name), number
    )
    if frozen is None:
        return study.ask()
    trial = Trial(study, frozen._trial_id)
    _draw_again(study, trial, frozen, space)
    return trial


def _train(
    task: Task,
    study: optuna.Study,
    trial: Trial,
    space: Distributions,
    records: Sequence[RunRecord],
    models: StoredModels,
    watch: Watch,
) -> None:
    """Train one trial and tell the study how it ended, after MLflow knows."""
    experiment, number = task.experiment, trial.number
    config = experiment.trial(task.combination, _suggest(trial, space), experiment.seed)
    run = task.open_run("trial", f"#{number}", number, config, records)
    trial.set_user_attr("mlflow_run_id", run.run_id)
    stop = _pruning(task, study, trial, watch, run)
    keeper = task.keeper(run, config)
    outcome = record(config, task.data, run, stop=stop, keep_model=models.keeps, keeper=keeper)
    fault_injection.point("before_tell", training=run.info.run_name)
    models.ended(run.run_id, outcome)
    accuracy = outcome.val_accuracy
    study.tell(trial, accuracy if outcome.state == "COMPLETE" else None, TrialState[outcome.state])
    watch(task.ended("trial", number, outcome))


def _pruning(task: Task, study: optuna.Study, trial: Trial, watch: Watch, run: Run) -> Stop:
    """Return what tells the study of each epoch, and asks it whether to prune the trial."""
    known = study._storage.get_trial(trial._trial_id).intermediate_values
    last_reported = max(known, default=0)  # before an interruption
    logged = task.tracker.accuracies(run.run_id) if run.logged_epochs else {}
    unreported = {epoch: logged[epoch] for epoch in sorted(logged.keys() - known.keys())}

    def after_epoch(metrics: EpochMetrics) -> bool:
        watch(task.epoch("trial", trial.number, metrics))
        for epoch in [e for e in unreported if e <= metrics.epoch]:
            trial.report(unreported.pop(epoch), epoch)  # the study is new, the run is not
        if metrics.epoch > max(last_reported, max(logged, default=0)):
            trial.report(metrics.val.accuracy, metrics.epoch)
        if metrics.epoch < last_reported:
            return False  # it was not pruned here before the interruption
        return is_to_be_pruned(trial, metrics.epoch, task.experiment.epochs)

    return after_epoch


def _suggest(trial: Trial, space: Distributions) -> dict[str, Value]:
    """Draw every searched setting; those that the trial has already stay as they are."""
    return {name: _draw(trial, name, distribution) for name, distribution in space.items()}


def _draw_again(
    study: optuna.Study, trial: Trial, frozen: FrozenTrial, space: Distributions
) -> None:
    """Repeat the draws of an interrupted trial, so that the next one is as it would have been.

    Settings that are not drawn together come from one generator, one after another. What a sampler
    has noted in the trial is blotted out: it would take that for another trial under way.
    """
    if frozen.params.keys() >= space.keys():
        return
    for key in frozen.system_attrs:
        if ":relative_params:" in key:
            study._storage.set_trial_system_attr(trial._trial_id, key, "")
    for name in frozen.params:
        if name not in trial.relative_params and not space[name].single():
            study.sampler.sample_independent(study, frozen, name, space[name])


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
