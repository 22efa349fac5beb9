"""Several experiments: the same combinations, ranked in each of them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cifar_exp.comparison import Ranking
from cifar_exp.comparison.across import across
from cifar_exp.errors import BadInput
from cifar_exp.report import write_across
from cifar_exp.report.files import ranks_figure
from cifar_exp.report.text.across import across_csv, across_json, across_markdown, across_sentences
from tests.rankings import ranking, row

NAMES = ("a+sgd", "b+sgd", "c+sgd")


def experiment(name: str, *means: float, spread: float = 0.001) -> Ranking:
    """Return the ranking of three combinations with these mean accuracies over five seeds."""
    steps = (-2, -1, 0, 1, 2)
    rows = [
        row(
            place,
            combination,
            test_accuracies=tuple(mean + spread * step for step in steps),
            test_accuracy_mean=mean,
        )
        for place, (combination, mean) in enumerate(zip(NAMES, means, strict=False), start=1)
    ]
    return replace(ranking(*rows), experiment=name)


AGREEING = [experiment(f"e{n}", 0.9, 0.8, 0.7) for n in range(5)]
TURNED = [experiment("one", 0.9, 0.8, 0.7), experiment("two", 0.8, 0.9, 0.7)]
"""One of three pairs has the reverse order."""


def test_mean_ranks_by_hand() -> None:
    found = across(TURNED)
    assert [(r.combination, r.mean_rank) for r in found.combinations] == [
        ("a+sgd", 1.5),
        ("b+sgd", 1.5),
        ("c+sgd", 3.0),
    ]
    assert [place.rank for place in found.combinations[0].places] == [1.0, 2.0]
    # Rank sums 3, 3, 6 deviate by -1, -1, 2 from 4: W = 12 * 6 / (2^2 * (3^3 - 3)).
    assert found.concordance == pytest.approx(0.75)
    assert found.correlations[0][1] == pytest.approx(1 / 3)


def test_a_rank_is_kept_if_the_rank_intervals_overlap() -> None:
    clear = across(TURNED)
    assert {r.combination: r.holds_place for r in clear.combinations} == {
        "a+sgd": False,
        "b+sgd": False,
        "c+sgd": True,
    }
    noisy = across([experiment(name, 0.8, 0.81, 0.7, spread=0.1) for name in ("one", "two")])
    assert all(r.holds_place for r in noisy.combinations)


def test_the_sentences_about_two_experiments() -> None:
    assert across_sentences(across(TURNED)) == [
        "a+sgd has the best mean rank, 1.50 of 3, and may be the best in 1 of 2 experiments.",
        "Agreement of the orders: Kendall's W 0.75 (1 is full agreement); rank correlation tau-b "
        "one and two +0.33.",
        "Keep their rank (one rank lies in the 90 % intervals of all experiments): c+sgd. "
        "Do not: a+sgd, b+sgd.",
        # Three of six orders agree at least as much with the first one: itself and its neighbours.
        "Equal mean ranks: permutation test p = 0.5. 2 experiments are too few to test differences "
        "of mean ranks; the test needs 5.",
    ]


def test_of_several_experiments_the_least_and_most_similar_are_named() -> None:
    three = across([*TURNED, experiment("three", 0.7, 0.8, 0.9)])
    # Three of three pairs have the reverse order in one and three, two of them in two and three.
    assert three.correlations == pytest.approx(
        np.array([[1, 1 / 3, -1], [1 / 3, 1, -1 / 3], [-1, -1 / 3, 1]])
    )
    said = "rank correlation tau-b one and three -1.00, one and two +0.33."
    assert any(said in text for text in across_sentences(three))


def test_mean_ranks_are_tested_from_five_experiments_on() -> None:
    few, enough = across(AGREEING[:4]), across(AGREEING)
    assert few.critical_difference is None
    # For rank sums over five, 8 is the smallest difference with probability below .05; 7 has more.
    assert enough.critical_difference == pytest.approx(7 / 5)
    assert few.p_equal_ranks == pytest.approx(6 / 6**4)
    # Five experiments have the same order of three: 6 of the 6^5 possible outcomes.
    assert enough.p_equal_ranks == pytest.approx(6 / 6**5)
    assert (
        "Equal mean ranks: permutation test p = 0.0046. 4 experiments are too few to test "
        "differences of mean ranks; the test needs 5."
    ) in across_sentences(few)
    assert (  # 6 / 6^5 = 0.00077; of the mean ranks 1, 2 and 3, the second one is within 1.4
        "Equal mean ranks: permutation test p = 0.00077. Mean ranks differ at level 0.05 if they "
        "lie more than 1.40 apart (all pairs, permutations); not distinguishable from the first: "
        "b+sgd."
    ) in across_sentences(enough)


def test_an_experiment_is_not_compared_with_itself() -> None:
    with pytest.raises(BadInput, match="one is named twice"):
        across([experiment("one", 0.9, 0.8, 0.7)] * 2)


def test_for_an_error_the_smallest_is_first() -> None:
    measured = [
        replace(each, yardstick="test_nll", smaller_is_better=True)
        for each in (experiment("one", 0.9, 0.8, 0.7), experiment("two", 0.9, 0.8, 0.7))
    ]
    assert [r.combination for r in across(measured).combinations] == ["c+sgd", "b+sgd", "a+sgd"]


def test_combinations_missing_in_an_experiment_are_named() -> None:
    lost = ranking(
        row(1, "a+sgd"), row(2, "b+sgd"), row(3, "c+sgd", seeds_failed=1), row(None, "d+sgd")
    )
    found = across([experiment("one", 0.9, 0.8, 0.7), lost])
    assert found.left_out == ("c+sgd", "d+sgd")
    sentence = "Omitted, as some experiment has no complete result: c+sgd, d+sgd."
    assert sentence in across_sentences(found)


def test_experiments_without_common_combinations_are_refused() -> None:
    with pytest.raises(BadInput, match="one, small have fewer than two combinations"):
        across([experiment("one", 0.9, 0.8, 0.7), ranking(row(1, "x+sgd"), row(2, "a+sgd"))])


def test_without_spread_there_is_no_claim() -> None:
    found = across([experiment(name, 0.9, 0.8, 0.7, spread=0.0) for name in ("one", "two")])
    assert all(r.holds_place is None for r in found.combinations)
    assert any("the stability of ranks is not known" in text for text in across_sentences(found))


def test_csv_has_a_line_for_every_combination_and_experiment() -> None:
    noisy = experiment("two", 0.8, 0.81, 0.7, spread=0.1)
    rows = list(csv.reader(io.StringIO(across_csv(across([TURNED[0], noisy])))))
    assert rows[0] == [
        *("combination", "loss", "optimizer", "mean_rank", "experiment"),
        *("rank", "mean", "rank_low", "rank_high", "in_best_group", "may_be_best"),
    ]
    assert rows[1:3] == [
        ["a+sgd", "a", "sgd", "1.5", "one", "1.0", "0.9", "1", "1", "True", "True"],
        ["a+sgd", "a", "sgd", "1.5", "two", "2.0", "0.8", "1", "3", "True", "True"],
    ]
    assert [row[0] for row in rows[1:]] == [name for name in NAMES for _ in range(2)]


def test_markdown_of_two_experiments() -> None:
    table, _, sentences = across_markdown(across(TURNED)).partition("\n\n")
    assert table.splitlines() == [
        "| mean rank | combination | one | two | may be best | holds |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
        "| 1.50 | a+sgd | 1 (90.00 %) | 2 (80.00 %) | 1 of 2 | no |",
        "| 1.50 | b+sgd | 2 (80.00 %) | 1 (90.00 %) | 1 of 2 | no |",
        "| 3.00 | c+sgd | 3 (70.00 %) | 3 (70.00 %) | 0 of 2 | yes |",
    ]
    assert sentences == "".join(f"- {text}\n" for text in across_sentences(across(TURNED)))


def test_the_figure_of_ranks_shows_all_ranks_the_means_and_those_near_the_first() -> None:
    [axes] = ranks_figure(across(TURNED)).figure.axes
    assert [list(np.asarray(line.get_xdata())) for line in axes.lines] == [
        [1, 2, 3],
        [2, 1, 3],
        *([1.5], [1.5], [3]),
    ]
    assert list(axes.patches) == []
    [axes] = ranks_figure(across(AGREEING)).figure.axes
    [near] = axes.patches
    left, right = near.get_extents().transformed(axes.transData.inverted()).intervalx
    assert (left, right) == pytest.approx((1.0, 1 + 7 / 5))


def test_the_files_have_the_same_numbers(tmp_path: Path) -> None:
    found = across(AGREEING)
    files = write_across(found, tmp_path / "new")
    assert sorted(p.name for p in files) == [
        f"across.{s}" for s in ("csv", "json", "md", "pdf", "png", "svg", "tex")
    ]
    assert all(path.stat().st_size > 0 for path in files)
    content = json.loads(across_json(found))
    assert [c["combination"] for c in content["combinations"]] == list(NAMES)
    again = {path: path.read_bytes() for path in files}
    write_across(found, tmp_path / "new")
    assert {path: path.read_bytes() for path in files} == again


def test_schedules_have_a_column_if_an_experiment_has_some() -> None:
    assert "schedule" not in across_csv(across(TURNED))
    one, two = (replace(each, definition={"schedules": "cosine"}) for each in TURNED)
    rows = tuple(replace(each, schedule="cosine") for each in one.combinations)
    found = across([replace(one, combinations=rows), two])
    [first, *_] = csv.DictReader(io.StringIO(across_csv(found)))
    assert list(first)[:5] == ["combination", "loss", "optimizer", "schedule", "mean_rank"]
    assert first["schedule"] == "cosine"
