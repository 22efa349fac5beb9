"""The ranking of artificial runs, against values computed by hand and by numpy."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_exp.comparison import Ranking, Row, best_trial, confirmations, rank
from cifar_exp.records import RunRecord
from cifar_exp.report.text.formats import to_json, to_latex, to_markdown
from cifar_exp.report.text.latex import escape
from cifar_exp.report.text.sentences import sentences
from cifar_exp.report.text.table import cells, headers, mean_text
from cifar_exp.report.text.tidy import seeds_csv, to_csv, trials_csv
from tests.rankings import ranking, row
from tests.records import combination, confirmation, scored, sweep, trial

# The columns of ranking.json and ranking.csv, which other programs depend on.
FIELDS = [
    "rank",
    "combination",
    "loss",
    "optimizer",
    "test_accuracy_mean",
    "test_accuracy_std",
    "seeds",
    "lr",
    "batch_size",
    "trials",
    "diverged",
    "seconds",
]


def only_row(*records: RunRecord, trials: int = 9, seeds: int = 9) -> Row:
    started = [sweep(trials=trials, seeds=seeds), combination("mse+sgd")]
    [only] = rank([*started, *records]).combinations
    return only


# The order.


def test_combinations_are_ordered_by_mean_test_accuracy() -> None:
    records = [sweep(), *scored("a+x", 0.5, 0.7), *scored("b+x", 0.8), *scored("c+x", 0.1, 0.9)]
    ranked = rank(records)
    assert [(r.rank, r.combination) for r in ranked.combinations] == [
        (1, "b+x"),
        (2, "a+x"),
        (3, "c+x"),
    ]
    assert (ranked.experiment, ranked.complete) == ("small", True)


def test_ties_are_ordered_by_name() -> None:
    names = ["b+x", "a+y", "a+x", "B+x"]
    records = [sweep(), *(record for name in names for record in scored(name, 0.5, 0.5))]
    ranked = rank(records)
    assert [r.combination for r in ranked.combinations] == sorted(names)
    assert [r.rank for r in ranked.combinations] == [1, 2, 3, 4]


def test_those_without_a_result_come_last_and_have_no_rank() -> None:
    records = [sweep(), combination("b+x"), combination("a+x"), *scored("z+x", 0.0)]
    ranked = rank(records)
    assert [(r.rank, r.combination) for r in ranked.combinations] == [
        (1, "z+x"),
        (None, "a+x"),
        (None, "b+x"),
    ]
    assert not ranked.complete


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_runs_does_not_matter(shuffle: random.Random) -> None:
    records = [sweep(), *scored("a+x", 0.1, 0.2, 0.4), *scored("b+x", 0.3), combination("c+x")]
    records += [trial("a+x", 1, 0.5), trial("a+x", 2, None, diverged=True)]
    expected = rank(records)
    shuffle.shuffle(records)
    assert rank(records) == expected


def test_other_runs_have_no_effect_on_a_ranking() -> None:
    single = replace(trial("mse+sgd", 0, 0.9), kind="train", parent=None, number=None)
    of_other_sweep = trial("mse+sgd", 0, 0.9, parent="another sweep/mse+sgd")
    assert only_row(single, of_other_sweep).trials == 0


# One row.


def test_mean_and_standard_deviation_by_hand() -> None:
    only = only_row(*scored("mse+sgd", 0.5, 0.6, 0.7, 0.8)[1:])
    # squares of deviations: 2 x 0.15^2 + 2 x 0.05^2 = 0.05, over n - 1 = 3
    assert only.test_accuracy_mean == pytest.approx(0.65)
    assert only.test_accuracy_std == pytest.approx((0.05 / 3) ** 0.5)
    assert (only.seeds, only.test_accuracies) == (4, (0.5, 0.6, 0.7, 0.8))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
@settings(max_examples=30, deadline=None)
def test_mean_and_standard_deviation_by_numpy(accuracies: list[float]) -> None:
    only = only_row(*scored("mse+sgd", *accuracies)[1:])
    assert only.test_accuracy_mean == pytest.approx(np.mean(accuracies), abs=1e-12)
    assert only.test_accuracy_std == pytest.approx(np.std(accuracies, ddof=1), abs=1e-9)


def test_one_confirmation_has_no_standard_deviation() -> None:
    only = only_row(*scored("mse+sgd", 0.5)[1:])
    assert (only.test_accuracy_mean, only.test_accuracy_std, only.seeds) == (0.5, None, 1)


def test_the_best_trial_gives_the_setting() -> None:
    only = only_row(trial("mse+sgd", 0, 0.5), trial("mse+sgd", 3, 0.7), trial("mse+sgd", 4, None))
    assert (only.lr, only.batch_size, only.val_accuracy) == (0.4, 8, 0.7)
    assert only.settings == {"loss.gamma": "1.5"}


def test_the_earliest_of_equally_good_trials_is_the_best() -> None:
    trials = [trial("mse+sgd", number, 0.5) for number in (4, 2, 3)]
    best = best_trial(trials)
    assert best is not None
    assert best.number == 2


def test_a_pruned_trial_is_never_the_best() -> None:
    pruned = trial("mse+sgd", 0, 0.9, state="PRUNED")
    assert best_trial([pruned]) is None
    assert best_trial([pruned, trial("mse+sgd", 1, 0.1)]) == trial("mse+sgd", 1, 0.1)


def test_trials_are_counted_by_their_end() -> None:
    only = only_row(
        trial("mse+sgd", 0, 0.5),
        trial("mse+sgd", 1, 0.4, state="PRUNED"),
        trial("mse+sgd", 2, 0.3, state="PRUNED"),
        trial("mse+sgd", 3, None, diverged=True),
        trial("mse+sgd", 4, None, diverged=True),
        trial("mse+sgd", 5, None, diverged=True),
        trial("mse+sgd", 6, None),
        trial("mse+sgd", 7, None, state=None, metrics={}),  # still running
    )
    assert (only.trials, only.pruned, only.diverged, only.failed) == (7, 2, 3, 1)
    assert only.seconds == 70.0


def test_without_a_complete_trial_there_is_no_result() -> None:
    only = only_row(trial("mse+sgd", 0, None, diverged=True), confirmation("mse+sgd", 1, 0.5))
    assert (only.rank, only.test_accuracy_mean, only.lr, only.batch_size) == (None,) * 4
    assert (only.seeds, only.settings) == (0, {})


def test_failed_confirmations_are_counted_separately() -> None:
    only = only_row(
        trial("mse+sgd", 0, 0.5),
        confirmation("mse+sgd", 1, 0.4),
        confirmation("mse+sgd", 2, None, diverged=True),
        confirmation("mse+sgd", 3, 0.6),
        confirmation("mse+sgd", 4, None, state=None),  # still running
    )
    assert (only.seeds, only.seeds_failed, only.test_accuracy_mean) == (2, 1, 0.5)


def test_combinations_with_lost_seeds_rank_behind_the_others() -> None:
    lucky = [
        *scored("l1+sgd", 0.9),
        confirmation("l1+sgd", 2, None, diverged=True),
    ]
    ranking = rank([sweep(), *lucky, *scored("mse+sgd", 0.5, 0.5)])
    assert [(r.combination, r.rank) for r in ranking.combinations] == [
        ("mse+sgd", 1),
        ("l1+sgd", 2),
    ]


def test_combinations_without_a_result_come_after_those_with_lost_seeds() -> None:
    lost = [*scored("l1+sgd", 0.9), confirmation("l1+sgd", 2, None, diverged=True)]
    ranking = rank([sweep(), combination("a+x"), *lost])
    assert [(r.combination, r.rank) for r in ranking.combinations] == [("l1+sgd", 1), ("a+x", None)]


def test_confirmations_are_in_the_order_of_their_seeds() -> None:
    only = only_row(
        trial("mse+sgd", 0, 0.5),
        *(confirmation("mse+sgd", number, number / 10) for number in (3, 1, 2)),
    )
    assert only.test_accuracies == (0.1, 0.2, 0.3)


# Excluded runs.


def test_confirmations_of_an_earlier_best_trial_are_excluded() -> None:
    records = [
        trial("mse+sgd", 0, 0.5),
        trial("mse+sgd", 1, 0.6),
        confirmation("mse+sgd", 1, 0.1, confirms=0),
        confirmation("mse+sgd", 2, 0.1, confirms=0),
        confirmation("mse+sgd", 1, 0.9, confirms=1),
    ]
    assert confirmations(records) == records[-1:]
    assert only_row(*records).test_accuracies == (0.9,)


def test_trials_beyond_the_budget_are_excluded() -> None:
    records = [trial("mse+sgd", number, 0.1 + number / 10) for number in range(5)]
    only = only_row(*records, trials=3)
    assert only.trials == 3
    assert only.val_accuracy == pytest.approx(0.3)
    assert only.seconds == 30.0


def test_a_best_trial_beyond_the_budget_is_excluded_with_its_confirmations() -> None:
    only = only_row(
        trial("mse+sgd", 0, 0.5),
        trial("mse+sgd", 1, 0.9),
        confirmation("mse+sgd", 1, 0.4, confirms=0),
        confirmation("mse+sgd", 1, 0.8, confirms=1),
        trials=1,
    )
    assert only.test_accuracies == (0.4,)


def test_confirmations_beyond_the_budget_are_excluded() -> None:
    only = only_row(*scored("mse+sgd", 0.1, 0.2, 0.9)[1:], seeds=2)
    assert only.test_accuracies == (0.1, 0.2)


# The choice of the sweep.

TWO_SWEEPS = [
    sweep("late", start=20),
    sweep("early", start=10),
    combination("a+x", "late"),
    combination("b+x", "early"),
]


def test_the_latest_sweep_is_ranked() -> None:
    assert [r.combination for r in rank(TWO_SWEEPS).combinations] == ["a+x"]


def test_a_sweep_can_be_chosen() -> None:
    assert [r.combination for r in rank(TWO_SWEEPS, "early").combinations] == ["b+x"]


@pytest.mark.parametrize(("records", "chosen"), [([], None), (TWO_SWEEPS, "other")])
def test_no_such_sweep(records: list[RunRecord], chosen: str | None) -> None:
    with pytest.raises(ValueError, match="no such sweep"):
        rank(records, chosen)


# File formats.

WRITTEN = ranking(
    row(1, "focal+m", settings={"loss.gamma": "1.5", "optimizer.momentum": "0.9"}),
    row(2, "mse+sgd", seeds=1, test_accuracies=(0.5,), test_accuracy_std=None, seeds_failed=2),
    row(None, "l1+sgd"),
)


def test_json_is_read_back() -> None:
    document = json.loads(to_json(WRITTEN))
    first, second, last = document["combinations"]
    assert document["experiment"] == "small"
    assert list(first)[: len(FIELDS)] == FIELDS
    assert first["test_accuracies"] == [0.5, 0.52, 0.54]
    assert first["settings"] == {"loss.gamma": "1.5", "optimizer.momentum": "0.9"}
    assert (second["rank"], second["test_accuracy_std"]) == (2, None)
    assert (last["rank"], last["combination"], last["lr"]) == (None, "l1+sgd", None)


def test_csv_is_read_back() -> None:
    first, second, last = csv.DictReader(io.StringIO(to_csv(WRITTEN)))
    assert list(first)[: len(FIELDS)] == FIELDS
    assert (first["loss.gamma"], first["optimizer.momentum"]) == ("1.5", "0.9")
    assert (second["loss.gamma"], first["yardstick"]) == ("", "test_accuracy")
    assert not [name for name, value in first.items() if " " in value]
    assert (float(first["lr"]), int(first["batch_size"])) == (0.0125, 64)
    assert (second["rank"], second["test_accuracy_std"]) == ("2", "")
    assert (last["rank"], last["combination"], last["test_accuracy_mean"]) == ("", "l1+sgd", "")


def test_csv_has_a_line_for_every_seed_and_trial() -> None:
    params = {"lr": "0.25", "batch_size": "64", "seed": "7", "loss.gamma": "2", "threads": "1"}
    metrics = {"val_accuracy": 0.5, "test_accuracy": 0.4, "test_nll": 1.5, "seconds": 3.0}
    found = rank(
        [
            *(sweep(), combination("focal+x"), combination("mse+x")),
            trial("focal+x", 0, 0.5, params=params),
            trial("focal+x", 1, None, params=params, diverged=True),
            confirmation("focal+x", 1, 0.4, params=params, metrics=metrics),
            *scored("mse+x", 0.3)[1:],
        ]
    )
    first, _ = csv.DictReader(io.StringIO(seeds_csv(found)))
    assert first == {
        **{"combination": "focal+x", "loss": "focal", "optimizer": "x", "study": "1"},
        **{"number": "1", "seed": "7", "state": "COMPLETE", "lr": "0.25", "batch_size": "64"},
        **{"val_accuracy": "0.5", "seconds": "3.0", "test_accuracy": "0.4", "test_nll": "1.5"},
        "loss.gamma": "2",
    }
    complete, failed, _ = csv.DictReader(io.StringIO(trials_csv(found)))
    assert (complete["number"], complete["val_accuracy"], complete["diverged"]) == (
        *("0", "0.5", "False"),
    )
    assert (failed["state"], failed["val_accuracy"], failed["diverged"]) == ("FAIL", "", "True")
    [line, _] = csv.DictReader(io.StringIO(to_csv(found)))
    assert (line["test_nll_mean"], line["test_accuracy_mean"]) == ("1.5", "0.4")


def test_latex_has_the_cells_of_the_table_with_escaped_characters() -> None:
    assert escape("1-4 -0.5") == "1--4 $-$0.5"
    assert escape("cifar10-2") == "cifar10-2"
    text = to_latex(ranking(row(1, "a_b#1&{c}+50%"), row(2, "mse+sgd")))
    _, _, table = text.partition("\\begin{tabular}{rlrrrrrrr}\n\\toprule\n")
    assert table.count("\\\\\n") == 3
    first = table.splitlines()[2]
    assert first.startswith("1 & a\\_b\\#1\\&\\{c\\}+50\\% & 52.00 $\\pm$ ")
    assert all(line.startswith("%") for line in text.partition("\\begin")[0].splitlines())


def test_numbers_are_written_with_full_precision() -> None:
    mean = 2 / 3
    written = ranking(row(1, "mse+sgd", test_accuracy_mean=mean))
    assert json.loads(to_json(written))["combinations"][0]["test_accuracy_mean"] == mean
    [line] = csv.DictReader(io.StringIO(to_csv(written)))
    assert float(line["test_accuracy_mean"]) == mean


def test_markdown_is_a_table() -> None:
    table, _, sentences = to_markdown(WRITTEN).partition("\n\n")
    header, rule, *lines = table.splitlines()
    names = headers(WRITTEN)
    assert [cell.strip() for cell in header.strip("|").split("|")] == list(names)
    assert set(rule) <= set("|-: ")
    assert {line.count("|") for line in (header, rule, *lines)} == {len(names) + 1}
    assert all(line.startswith("- ") for line in sentences.splitlines())
    assert [line.split("|")[2].strip() for line in lines] == ["focal+m", "mse+sgd", "l1+sgd"]


@pytest.mark.parametrize(
    ("yardstick", "difference", "said"),
    [
        ("test_accuracy", 0.02, "Smallest difference that SEEDS show in SWEEPS: 2.00 points."),
        ("test_accuracy", 1.0, "SEEDS are too few here to show any difference in SWEEPS."),
        ("test_nll", 1.5, "Smallest difference that SEEDS show in SWEEPS: 1.5000."),
    ],
)
@pytest.mark.parametrize(("more", "seeds"), [((), "3 seeds"), ((0.5, 0.6), "3 to 5 seeds")])
def test_the_smallest_detectable_difference_is_stated(
    yardstick: str, difference: float, said: str, more: tuple[float, ...], seeds: str
) -> None:
    first = row(1, "focal+m", test_accuracies=(0.5, 0.52, 0.54, *more))
    found = ranking(first, row(2, "mse+sgd"), row(3, "l1+sgd"))
    found = replace(found, yardstick=yardstick, minimum_detectable_difference=difference)
    said = said.replace("SEEDS", seeds).replace("SWEEPS", "80 of 100 sweeps")
    assert said in sentences(found)


def test_cells_of_the_table() -> None:
    assert headers(WRITTEN) == (
        *("rank", "combination", "test accuracy", "may be best", "P best", "ranks"),
        *("lr", "batch size", "time"),
    )
    assert [cells(WRITTEN, r) for r in WRITTEN.combinations] == [
        ("1", "focal+m", "52.00 ± 4.97 %", "yes", "1.00", "1", "0.013", "64", "42 s"),
        ("2", "mse+sgd", "52.00 %", "-", "-", "-", "0.013", "64", "42 s"),
        ("-", "l1+sgd", "no result", "-", "-", "-", "-", "-", "42 s"),
    ]


def test_a_truncated_interval_is_written_with_its_ends() -> None:
    only = row(1, "mse+sgd", mean=0.3389, interval_low=0.0, interval_high=0.8537)
    assert mean_text(Ranking(experiment="x", combinations=()), only) == "33.89 (0.00 to 85.37) %"


@pytest.mark.parametrize(
    ("yardstick", "mean", "half", "text"),
    [
        ("test_accuracy", 0.98765, 0.00123, "98.77 ± 0.12 %"),
        ("test_accuracy", 1.0, None, "100.00 %"),
        ("test_nll", 1.23456, 0.01, "1.2346 ± 0.0100"),
        ("test_ece", 0.0312, None, "0.0312"),
        ("test_accuracy", None, None, "no result"),
    ],
)
def test_text_of_means(yardstick: str, mean: float | None, half: float | None, text: str) -> None:
    low, high = (None, None) if half is None or mean is None else (mean - half, mean + half)
    only = row(1, "mse+sgd", mean=mean, interval_low=low, interval_high=high)
    assert mean_text(Ranking(experiment="x", combinations=(), yardstick=yardstick), only) == text
