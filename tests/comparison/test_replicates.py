"""Replicates of artificial runs: which have ended, which are lost, and the resulting row."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Any

import pytest

from cifar_exp.comparison import (
    Method,
    Ranking,
    Row,
    counted_trainings,
    decide_on,
    num_trials,
    rank,
    replicates,
)
from cifar_exp.experiment import Design
from cifar_exp.records import RunRecord
from cifar_exp.report.text.search_space import repeated, small_spaces
from cifar_exp.report.text.sentences import verdict
from tests import records

NAME = "mse+sgd"
COMBINED = {"loss": "mse", "optimizer": "sgd"}
STUDIES = Design(trials=2, studies=3, seeds=2)
SEEDS = Design(trials=1, studies=1, seeds=3)


def study(number: int, *accuracies: float | None, best: float | None = 0.5) -> list[RunRecord]:
    """Return a study of two trials whose second is the best one, and its confirmations."""
    of_study: dict[str, Any] = {"study": number}
    trials = [records.trial(NAME, 0, best and best - 0.1), records.trial(NAME, 1, best)]
    confirmed = [
        records.confirmation(NAME, n, accuracy, confirms=1)
        for n, accuracy in enumerate(accuracies, start=1)
    ]
    return [
        replace(r, run_id=f"{r.run_id} study {number}", **of_study) for r in (*trials, *confirmed)
    ]


def row_of(runs: list[RunRecord], design: Design = STUDIES) -> Row:
    params = {key: str(value) for key, value in design.params().items()}
    sweep = replace(records.sweep(), params=params)
    [row] = rank([sweep, records.combination(NAME), *runs]).combinations
    return row


def test_a_replicate_is_the_mean_of_a_study() -> None:
    runs = [*study(1, 0.5, 0.7), *study(2, 0.3, 0.4)]
    assert replicates(runs, STUDIES) == pytest.approx((0.6, 0.35))


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], ()),
        (study(1, 0.5), ()),  # its second confirmation has not ended
        (study(1, 0.5, 0.5)[1:], ()),  # its first trial has not ended
        ([*study(1, 0.5, None), *study(2, 0.5, 0.5)], (None, 0.5)),
        ([*study(1, best=None), *study(2, 0.5, 0.5)], (None, 0.5)),
        ([*study(2, 0.5, 0.5)], ()),  # the first study has not ended
    ],
)
def test_lost_and_unfinished_replicates_differ(
    runs: list[RunRecord], expected: tuple[float | None, ...]
) -> None:
    assert replicates(runs, STUDIES) == expected


def test_a_replicate_of_one_study_is_a_confirmation() -> None:
    confirmed = [records.confirmation(NAME, n, value) for n, value in ((1, 0.5), (3, 0.7))]
    runs = [records.trial(NAME, 0, 0.5), *confirmed]
    assert replicates(runs, SEEDS) == (0.5,)
    runs.append(records.confirmation(NAME, 2, None))
    assert replicates(runs, SEEDS) == (0.5, None, 0.7)


def test_a_row_is_about_the_means_of_studies() -> None:
    runs = [*study(1, 0.5, 0.7), *study(2, 0.3, 0.4, best=0.8), *study(3, 0.9, 0.8)]
    row = row_of(runs)
    assert row.values == pytest.approx([0.6, 0.35, 0.85])
    assert (row.value_seeds, row.studies, row.seeds) == ((1, 2, 3), 3, 6)
    assert row.test_accuracy_mean == row.mean == pytest.approx(0.6)
    assert row.test_accuracy_std == row.std == pytest.approx(statistics.stdev([0.6, 0.35, 0.85]))
    assert row.test_accuracies == (0.5, 0.7, 0.3, 0.4, 0.9, 0.8)
    assert row.metric_means == {"test_accuracy": pytest.approx(0.6)}
    assert (row.trials, row.val_accuracy, row.study, row.lr) == (6, 0.8, 2, 0.2)
    assert [(r.number, r.val_accuracy, r.test_accuracy) for r in row.study_results] == [
        (1, 0.5, statistics.fmean([0.5, 0.7])),
        (2, 0.8, statistics.fmean([0.3, 0.4])),
        (3, 0.5, statistics.fmean([0.9, 0.8])),
    ]
    assert [(t.study, t.number) for t in row.trial_results] == [
        (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1),
    ]  # fmt: skip


def test_a_study_with_a_failed_confirmation_is_lost() -> None:
    row = row_of([*study(1, 0.5, None), *study(2, 0.3, 0.4), *study(3, best=None)])
    assert (row.values, row.value_seeds) == ((statistics.fmean([0.3, 0.4]),), (2,))
    assert row.lost_seeds == (1, 3)
    assert row.seeds_failed == 1 + 2  # both confirmations of the study without a result are lost


def test_only_the_replicates_of_the_definition_are_counted() -> None:
    runs = [run for number in range(1, 6) for run in study(number, 0.5, 0.6)]
    assert row_of(runs).value_seeds == (1, 2, 3)


@pytest.mark.parametrize("design", [replace(STUDIES, most=6), replace(SEEDS, most=6)])
def test_later_replicates_of_excluded_combinations_are_not_counted(design: Design) -> None:
    """They may exist from an earlier definition."""

    def runs(name: str, mean: float) -> list[RunRecord]:
        values = [mean + 0.001 * n for n in range(6)]
        if design.repeats_studies:
            found = [r for n, v in enumerate(values, start=1) for r in study(n, v, v)]
        else:
            confirmed = [records.confirmation(NAME, n, v) for n, v in enumerate(values, start=1)]
            found = [records.trial(NAME, 0, 0.5), *confirmed]
        changes: dict[str, Any] = {"combination": name, "parent": f"s/{name}"}
        return [records.combination(name), *(replace(r, **changes) for r in found)]

    params = {key: str(value) for key, value in design.params().items()}
    sweep = replace(records.sweep(), params=params)
    all_runs = [sweep, *runs("a+x", 0.9), *runs("b+x", 0.9005), *runs("c+x", 0.2)]
    counted = {
        name: {r.study if design.repeats_studies else r.number for r in found if r.kind != "trial"}
        for name, found in counted_trainings(all_runs).items()
    }
    assert counted == {"a+x": set(range(1, 7)), "b+x": set(range(1, 7)), "c+x": {1, 2, 3}}


def test_a_design_is_read_from_its_params() -> None:
    for design in (SEEDS, STUDIES, replace(STUDIES, most=9, indifferent=0.5)):
        assert Design.of({key: str(value) for key, value in design.params().items()}) == design


def test_the_params_of_older_sweeps_are_unchanged() -> None:
    assert SEEDS.params() == {"trials": 1, "seeds": 3}


# Rankings of sweeps whose results decide on the number of replicates.

DECIDED = replace(SEEDS, most=6)


def decided(*values: tuple[str, list[float | None]], **changes: Any) -> Ranking:
    """Rank combinations with the accuracies of their confirmations."""
    params = {key: str(value) for key, value in DECIDED.params().items()}
    held = [replace(records.sweep(), params=params)]
    for name, accuracies in values:
        confirmed = [
            records.confirmation(name, number, value, test_images=1000)
            for number, value in enumerate(accuracies, start=1)
        ]
        held += [records.combination(name), records.trial(name, 0, 0.5), *confirmed]
    return rank(held, **changes)


HIGH: list[float | None] = [0.9, 0.901, 0.902]
LOW: list[float | None] = [0.2, 0.201, 0.202]


def test_the_group_of_all_looks_has_the_level_of_the_sweep() -> None:
    ranking = decided(("a+x", HIGH), ("b+x", LOW), method=Method(alpha=0.5))
    assert [row.may_be_best for row in ranking.combinations] == [True, False]
    assert (ranking.ended, ranking.alpha, ranking.group_alpha) == ("one left", 0.5, 0.05)
    expected = "a+x is the best of 2, with 95 % confidence. No more seeds are trained"
    assert verdict(ranking).startswith(expected)


def test_before_the_first_look_nothing_is_said_of_the_best() -> None:
    ranking = decided(("a+x", HIGH), ("b+x", LOW[:2]))
    assert [row.may_be_best for row in ranking.combinations] == [None, None]
    assert verdict(ranking).endswith("cannot be tested: the first seeds of each are not complete.")


def test_a_combination_that_is_not_compared_has_neither_yes_nor_no() -> None:
    ranking = decided(("a+x", HIGH), ("b+x", LOW), ("c+x", [0.9, None, 0.9]))
    assert [row.may_be_best for row in ranking.combinations] == [True, False, None]


def test_a_decision_does_not_depend_on_the_order_of_the_combinations() -> None:
    samples = {"a": (0.5, 0.6, 0.7), "b": (0.45, 0.5, 0.6), "c": (0.4, 0.41, 0.5)}
    backwards = dict(reversed(samples.items()))
    one, other = (decide_on(given, DECIDED, 1000) for given in (samples, backwards))
    assert one is not None
    assert other is not None
    assert dict(one.p_values) == dict(other.p_values)


def test_of_two_runs_of_a_combination_the_newest_counts() -> None:
    """A version with other results leaves the run of the older version in place."""
    older = replace(records.combination(NAME), run_id="older", start_time=0)
    held = [records.sweep(), older, records.combination(NAME), *study(1, 0.5, 0.6)]
    [row] = rank(held).combinations
    assert row.seeds == 2


def with_settings(*settings: str) -> list[RunRecord]:
    """Return trials of one study; a letter stands for a batch size."""
    return [
        records.trial(
            NAME,
            number,
            0.5,
            params={"lr": "0.1", "batch_size": str(ord(letter)), "threads": "1"},
        )
        for number, letter in enumerate(settings)
    ]


@pytest.mark.parametrize(
    ("settings", "space_size", "number"),
    [
        ("", math.inf, 6),
        ("", 1, 1),
        ("", 4, 4),
        ("", 9, 6),
        ("a", 1, 1),
        ("ab", 4, 4),
        # trials of an older version, which may repeat a setting
        ("aaaaaa", 1, 6),
        ("aa", 1, 2),
        ("abaa", 4, 6),  # c and d are left
        ("abab", 2, 4),
        ("aab", 7, 6),
        ("aabbcc", 7, 6),
    ],
)
def test_how_many_trials_a_study_has_by_hand(settings: str, space_size: float, number: int) -> None:
    assert (
        num_trials(with_settings(*settings), Design(trials=6, studies=1, seeds=1), space_size)
        == number
    )


def test_settings_of_losses_and_optimizers_are_part_of_a_setting() -> None:
    params = {"lr": "0.1", "batch_size": "8"}
    trials = [
        records.trial(NAME, number, 0.5, params={**params, name: value})
        for number, (name, value) in enumerate(
            [("loss.gamma", "1.0"), ("loss.gamma", "2.0"), ("optimizer.momentum", "1.0")]
        )
    ]
    assert num_trials(trials, Design(trials=6, studies=1, seeds=1), 3) == 3


def test_a_study_that_has_tried_every_setting_has_ended() -> None:
    """Two settings, two trials, of four; without the size of the space, two are left."""
    design = Design(trials=4, studies=1, seeds=1)
    runs = [*with_settings("a", "b"), records.confirmation(NAME, 1, 0.7)]
    assert replicates(runs, design) == ()
    assert replicates(runs, design, 2) == (0.7,)
    assert replicates(runs[1:], design, 2) == ()


def test_the_ranking_tells_that_a_space_has_few_settings() -> None:
    sized = replace(records.combination(NAME), params={**COMBINED, "space_size": "2"})
    runs = [*with_settings("a", "b", "a"), records.confirmation(NAME, 1, 0.7)]
    sweep = records.sweep(trials=4, seeds=1)
    ranking = rank([sweep, sized, *runs])
    [row] = ranking.combinations
    assert (row.trials, row.space_size) == (3, 2)
    assert small_spaces(ranking) == (
        "Fewer trials than the 4 of the definition, as each setting of the search space is tried "
        f"once in a study: {NAME} (2 settings)."
    )
    assert repeated(ranking) == (
        f"Trials of an older version that try a setting again, with the same result: {NAME} 1 of 3."
    )
    unknown = rank([sweep, records.combination(NAME), *runs[:2], runs[-1]])
    assert unknown.combinations[0].space_size is None
    assert small_spaces(unknown) == repeated(unknown) == ""
