from __future__ import annotations

from dataclasses import replace

import optuna
import pytest

from cifar_exp.study import StoredStudy, StudyError, StudyKey, StudyNames, connect, read_states
from tests.study.test_stored import SPACE, result

KEY = StudyKey(experiment="tiny", combination_id="0123456789abcdef", study=1)
SECOND = replace(KEY, study=2)
EDITED = replace(KEY, combination_id="0123dcba98765432")


def follow(storage_url: str, name: str, key: StudyKey, trials: int) -> None:
    study = StoredStudy(connect(storage_url), name, key, SPACE, "")
    results = [result(number) for number in range(trials)]
    study.follow(results, {number: f"run {number}" for number in range(trials)})


def name_of(storage_url: str, key: StudyKey, label: str = "mse+sgd") -> str:
    return StudyNames(connect(storage_url)).name(key, label)


def test_studies_are_named_by_experiment_and_combination(storage_url: str) -> None:
    assert name_of(storage_url, KEY) == "tiny/mse+sgd"
    assert name_of(storage_url, SECOND, "mse+sgd study 2") == "tiny/mse+sgd study 2"


def test_an_edited_combination_of_the_same_name_has_a_study_of_its_own(storage_url: str) -> None:
    follow(storage_url, "tiny/mse+sgd", KEY, 2)
    assert name_of(storage_url, EDITED) == "tiny/mse+sgd 0123"
    follow(storage_url, "tiny/mse+sgd 0123", EDITED, 1)
    third = replace(EDITED, combination_id="01239876543210ab")
    assert name_of(storage_url, third) == "tiny/mse+sgd 01239"
    assert name_of(storage_url, EDITED) == "tiny/mse+sgd 0123"
    assert name_of(storage_url, KEY) == "tiny/mse+sgd"
    assert {s.key: len(s.states) for s in read_states(storage_url, "tiny")} == {KEY: 2, EDITED: 1}


def test_studies_of_older_versions_are_continued_by_their_name(storage_url: str) -> None:
    old = {KEY: "tiny/mse+sgd 0123456789abcdef", SECOND: "tiny/mse+sgd study 2 0123456789abcdef"}
    for name in old.values():
        study = optuna.create_study(study_name=name, storage=storage_url, direction="maximize")
        study.add_trial(
            optuna.trial.create_trial(value=0.5, params={"lr": 0.01}, distributions=SPACE)
        )
    assert {state.key: state.name for state in read_states(storage_url, "tiny")} == old
    for key, name in old.items():
        before = optuna.load_study(study_name=name, storage=storage_url).trials
        assert name_of(storage_url, key) == name
        follow(storage_url, name, key, 2)
        study = optuna.load_study(study_name=name, storage=storage_url)
        assert study.trials[:1] == before
        assert (len(study.trials), study.user_attrs) == (2, key.attributes)
    assert len(optuna.get_all_study_names(storage_url)) == 2


def test_a_study_of_another_program_is_left_alone(storage_url: str) -> None:
    theirs = optuna.create_study(study_name="tiny/mse+sgd", storage=storage_url)
    theirs.ask()
    assert name_of(storage_url, KEY) == "tiny/mse+sgd 0123"
    assert read_states(storage_url, "tiny") == []


def test_a_study_that_a_crash_left_without_attributes_is_used(storage_url: str) -> None:
    optuna.create_study(study_name="tiny/mse+sgd", storage=storage_url, direction="maximize")
    assert name_of(storage_url, KEY) == "tiny/mse+sgd"


def test_a_study_that_another_sweep_has_just_created_is_not_taken(storage_url: str) -> None:
    ours, theirs = name_of(storage_url, EDITED), name_of(storage_url, KEY)
    assert ours == theirs  # both sweeps have read the storage before either creates a study
    follow(storage_url, theirs, KEY, 1)
    with pytest.raises(StudyError, match="another sweep has just created the study tiny/mse"):
        follow(storage_url, ours, EDITED, 1)
    assert {s.key: len(s.states) for s in read_states(storage_url, "tiny")} == {KEY: 1}
