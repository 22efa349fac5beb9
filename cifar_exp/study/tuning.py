"""The study that tunes one combination.

MLflow's record decides what has been done; the study follows it. Trials are numbered from 0, each
number is trained once, and a trial that was interrupted is trained again with its own parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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

from cifar_exp import trial as training_trial
from cifar_exp.comparison import best_trial
from cifar_exp.datasets import Dataset
from cifar_exp.event import Event, Watch
from cifar_exp.experiment import Choices, Combination, Experiment, Range, TrialConfig, Value
from cifar_exp.record import RunRecord
from cifar_exp.record import TrialState as RecordState
from cifar_exp.study import samplers
from cifar_exp.study.storage import connect
from cifar_exp.tracking import Run, Tracker
from cifar_exp.training import EpochMetrics
from cifar_exp.trial import Outcome, Stop

Distributions = Mapping[str, BaseDistribution]

PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "none": lambda _: optuna.pruners.NopPruner(),
    "median": lambda _: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(1, epochs, reduction_factor=3),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuning:
    """What the tuning of one combination needs: the work, the data, and where it is recorded."""

    experiment: Experiment
    combination: Combination
    data: Dataset
    tracker: Tracker
    parent: str
    """Run id of the combination."""
    storage_url: str

    @property
    def identity(self) -> str:
        """The hash of all that the combination's results depend on."""
        return self.experiment.identity(self.combination, self.data.fingerprint)


def tune(tuning: Tuning, watch: Watch) -> None:
    """Bring the study of a combination to its number of trials, from wherever it stands."""
    experiment = tuning.experiment
    space = distributions(experiment, tuning.combination)
    recorded = {r.number: r for r in _records(tuning) if r.finished}
    study = _open_study(tuning, set(recorded))
    begun = {t.number: t for t in study.get_trials(deepcopy=False)}
    for number in range(experiment.search.trials):
        frozen = begun.get(number)
        if number not in recorded:
            _train(tuning, study, frozen, number, space, watch)
            continue
        if frozen is None or not frozen.state.is_finished():
            _tell_recorded(study, frozen, recorded[number], space)
        record = recorded[number]
        accuracy = record.metrics.get("val_accuracy")
        watch(_event(tuning, number, experiment.epochs, accuracy, state=record.state, kept=True))


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


def _records(tuning: Tuning) -> list[RunRecord]:
    return tuning.tracker.records(kind="trial", combination_id=tuning.identity)


def _open_study(tuning: Tuning, recorded: set[int | None]) -> optuna.Study:
    """Open the study; one that holds trials MLflow lacks is made anew and follows MLflow."""
    study = _load_study(tuning)
    finished = {t.number for t in study.get_trials(deepcopy=False) if t.state.is_finished()}
    if finished <= recorded:
        return study
    optuna.delete_study(study_name=study.study_name, storage=study._storage)
    return _load_study(tuning)


def _load_study(tuning: Tuning) -> optuna.Study:
    experiment = tuning.experiment
    study = optuna.create_study(
        storage=connect(tuning.storage_url),
        study_name=f"{experiment.name}/{tuning.combination.name} {tuning.identity}",
        direction="maximize",
        load_if_exists=True,
        pruner=PRUNERS[experiment.search.pruner](experiment.epochs),
    )
    with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
        study.set_metric_names(["val_accuracy"])
    return study


def _train(
    tuning: Tuning,
    study: optuna.Study,
    frozen: FrozenTrial | None,
    number: int,
    space: Distributions,
    watch: Watch,
) -> None:
    """Train one trial and tell the study how it ended, after MLflow knows."""
    experiment, combination = tuning.experiment, tuning.combination
    study.sampler = samplers.make(
        experiment.search.sampler, dict(space), (experiment.seed, combination.name), number
    )
    trial = study.ask() if frozen is None else Trial(study, frozen._trial_id)
    config = experiment.trial(combination, _suggest(trial, space), experiment.seed)
    run = _open_run(tuning, config, number)
    trial.set_user_attr("mlflow_run_id", run.run_id)
    outcome = training_trial.record(
        config,
        tuning.data,
        run,
        stop=_pruning(tuning, study, trial, watch),
        keep_model=_keep_model(tuning),
    )
    accuracy = outcome.val_accuracy
    study.tell(trial, accuracy if outcome.state == "COMPLETE" else None, TrialState[outcome.state])
    watch(_event(tuning, number, outcome.epochs, accuracy, state=outcome.state))


def _open_run(tuning: Tuning, config: TrialConfig, number: int) -> Run:
    name = tuning.combination.name
    return tuning.tracker.open_run(
        "trial",
        f"{name} #{number}",
        parent=tuning.parent,
        tags={"combination": name, "combination_id": tuning.identity, "number": str(number)},
        params=training_trial.params(config, tuning.data),
    )


def _pruning(tuning: Tuning, study: optuna.Study, trial: Trial, watch: Watch) -> Stop:
    """Return what tells the study of each epoch, and asks it whether to prune the trial."""
    frozen = study._storage.get_trial(trial._trial_id)
    reported = set(frozen.intermediate_values)  # before an interruption

    def after_epoch(metrics: EpochMetrics) -> bool:
        watch(_event(tuning, trial.number, metrics.epoch, metrics.val.accuracy))
        if metrics.epoch not in reported:
            trial.report(metrics.val.accuracy, metrics.epoch)
        return metrics.epoch < tuning.experiment.epochs and trial.should_prune()

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
    study: optuna.Study, frozen: FrozenTrial | None, record: RunRecord, space: Distributions
) -> None:
    """Give the study a trial that MLflow holds: end its own copy, or add one."""
    assert record.state is not None
    assert record.number is not None
    state = TrialState[record.state]
    value = record.metrics.get("val_accuracy") if state == TrialState.COMPLETE else None
    if frozen is not None:
        study.tell(record.number, value, state=state)
        return
    reported = record.metrics.get("val_accuracy")
    last_epoch = int(record.metrics.get("epochs_trained", 0))
    study.add_trial(
        optuna.trial.create_trial(
            state=state,
            value=value,
            params={name: _parse(space[name], record.params[name]) for name in space},
            distributions=dict(space),
            intermediate_values={} if reported is None else {last_epoch: reported},
            user_attrs={"mlflow_run_id": record.run_id},
        )
    )


def _parse(distribution: BaseDistribution, text: str) -> float | int:
    return float(text) if isinstance(distribution, FloatDistribution) else int(text)


def _keep_model(tuning: Tuning) -> Callable[[Outcome], bool]:
    """Keep every model, or the best one so far in place of the one that was best before."""
    if tuning.experiment.keep_models == "all":
        return lambda _: True

    def better(outcome: Outcome) -> bool:
        best = best_trial(_records(tuning))
        if best is None:
            return True
        if outcome.val_accuracy is None or outcome.val_accuracy <= best.metrics["val_accuracy"]:
            return False
        tuning.tracker.delete_models(best.run_id)
        return True

    return better


def _event(
    tuning: Tuning,
    number: int,
    epoch: int,
    val_accuracy: float | None,
    *,
    state: RecordState | None = None,
    kept: bool = False,
) -> Event:
    return Event(
        combination=tuning.combination.name,
        training=f"trial {number}",
        epoch=epoch,
        epochs=tuning.experiment.epochs,
        val_accuracy=val_accuracy,
        state=state,
        kept=kept,
    )
