from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from cifar_exp.study import (
    StoredStudy,
    StudyKey,
    StudyState,
    TrialResult,
    connect,
    read_states,
)

SPACE: dict[str, BaseDistribution] = {"lr": FloatDistribution(1e-3, 1.0, log=True)}
NAME = "tiny/mse+sgd"
KEY = StudyKey(experiment="tiny", combination_id="id", study=1)


def result(number: int, state: str = "COMPLETE") -> TrialResult:
    value = None if state == "FAIL" else 0.5 + number / 100
    return TrialResult(
        number=number,
        params={"lr": 0.01 * (number + 1)},
        accuracies={1: 0.3, 2: 0.5 + number / 100},
        state=state,  # type: ignore[arg-type]
        val_accuracy=value,
    )


def open_study(storage_url: str) -> StoredStudy:
    return StoredStudy(connect(storage_url), NAME, KEY, SPACE, "")


def load(storage_url: str) -> optuna.Study:
    return optuna.load_study(study_name=NAME, storage=storage_url)


def test_each_trial_is_stored_with_all_its_data(storage_url: str) -> None:
    stored = open_study(storage_url)
    for number, state in enumerate(("COMPLETE", "PRUNED", "FAIL")):
        stored.add(result(number, state), f"run {number}")
    study = load(storage_url)
    assert study.metric_names == ["validation accuracy"]
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert [trial.params for trial in study.trials] == [{"lr": lr} for lr in (0.01, 0.02, 0.03)]
    assert [trial.user_attrs["mlflow_run_id"] for trial in study.trials] == [
        f"run {number}" for number in range(3)
    ]
    assert [trial.intermediate_values for trial in study.trials] == [
        {1: 0.3, 2: last} for last in (0.5, 0.51, 0.52)
    ]
    assert [trial.value for trial in study.trials] == [0.5, 0.51, None]


def test_trials_that_end_early_wait_for_those_before_them(storage_url: str) -> None:
    stored = open_study(storage_url)
    for number in (2, 1):
        stored.add(result(number), "run")
    assert load(storage_url).trials == []
    stored.add(result(0), "run")
    assert [trial.params["lr"] for trial in load(storage_url).trials] == [0.01, 0.02, 0.03]


@pytest.mark.parametrize("known", [0, 1, 3])
def test_a_study_is_updated_to_the_trials_in_mlflow(storage_url: str, known: int) -> None:
    results = [result(number) for number in range(3)]
    run_ids: dict[int | None, str] = {number: f"run {number}" for number in range(3)}
    open_study(storage_url).follow(results[:known], run_ids)
    before = [trial._trial_id for trial in load(storage_url).trials]
    open_study(storage_url).follow(results, run_ids)
    after = load(storage_url).trials
    assert [trial.value for trial in after] == [0.5, 0.51, 0.52]
    assert [trial._trial_id for trial in after][:known] == before  # they are not changed


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL])
def test_a_study_with_other_trials_is_created_again(storage_url: str, state: TrialState) -> None:
    """For example from an older version, or after a run was deleted in MLflow."""
    open_study(storage_url).follow([result(0)], {0: "run"})
    load(storage_url).add_trial(optuna.trial.create_trial(state=state))
    open_study(storage_url).follow([result(0), result(1)], {0: "run", 1: "run"})
    assert [trial.state.name for trial in load(storage_url).trials] == ["COMPLETE"] * 2


def test_the_states_of_an_experiments_studies_are_read(storage_url: str) -> None:
    open_study(storage_url).follow([result(0), result(1, "FAIL")], {0: "run", 1: "run"})
    key = replace(KEY, experiment="tiny2")
    StoredStudy(connect(storage_url), "tiny2/mse+sgd", key, SPACE, "").follow([], {})
    expected = StudyState(name=NAME, key=KEY, states=("COMPLETE", "FAIL"))
    assert read_states(storage_url, "tiny") == [expected]


def test_a_study_that_is_first_used_replaces_trials_that_are_not_in_mlflow(
    storage_url: str,
) -> None:
    open_study(storage_url).follow([result(0), result(1, "FAIL")], {0: "old", 1: "old"})
    open_study(storage_url).add(result(0, "FAIL"), "new")
    [state] = read_states(storage_url, "tiny")
    assert state.states == ("FAIL",)
