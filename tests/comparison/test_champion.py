from __future__ import annotations

from dataclasses import replace

from cifar_exp.comparison import counted_trainings, rank
from cifar_exp.comparison.champion import champion, description
from cifar_exp.records import RunRecord
from tests import records


def sweep_of_two() -> list[RunRecord]:
    """`a+b` has the higher test accuracy, whose first confirmation is not its best one."""
    trainings = [
        records.trial("a+b", 0, 0.6),
        records.trial("c+d", 0, 0.9),
        *(records.confirmation("a+b", n, accuracy) for n, accuracy in ((1, 0.7), (2, 0.8))),
        *(records.confirmation("c+d", n, accuracy) for n, accuracy in ((1, 0.1), (2, 0.2))),
    ]
    parents = [records.combination(name) for name in ("a+b", "c+d")]
    return [records.sweep(trials=1, seeds=2), *parents, *trainings]


def named(runs: list[RunRecord]) -> str | None:
    found = champion(rank(runs), counted_trainings(runs))
    return None if found is None else found.run_id


def test_it_is_the_first_confirmation_of_the_first_combination_not_the_best_one() -> None:
    assert named(sweep_of_two()) == "a+b seed 1 of 0"


def test_a_failed_confirmation_is_passed_over() -> None:
    runs = [
        replace(r, state="FAIL", metrics={}) if r.run_id == "a+b seed 1 of 0" else r
        for r in sweep_of_two()
        if r.combination != "c+d"
    ]
    assert named(runs) == "a+b seed 2 of 0"


def test_of_several_studies_validation_decides() -> None:
    trainings = [
        replace(run, study=study, run_id=f"{run.run_id} of {study}")
        for study, validation, test in ((1, 0.5, 0.9), (2, 0.7, 0.6))
        for run in (records.trial("a+b", 0, validation), records.confirmation("a+b", 1, test))
    ]
    sweep = records.sweep(trials=1, seeds=1, studies="2")
    assert named([sweep, records.combination("a+b"), *trainings]) == "a+b seed 1 of 0 of 2"


def test_without_a_result_there_is_none() -> None:
    runs = [records.sweep(trials=1, seeds=1), records.combination("a+b")]
    assert named(runs) is None
    assert description(rank(runs)) == {}


def test_its_description_is_that_of_the_combination() -> None:
    ranking = rank(sweep_of_two())
    first = ranking.combinations[0]
    assert first.interval_low is not None
    known = description(ranking)
    assert known.pop("test_accuracy_interval").startswith(f"{first.interval_low:.4f} to ")
    expected = {"combination": "a+b", "test_accuracy": "0.7500", "seeds": "2", "studies": ""}
    assert known == expected
