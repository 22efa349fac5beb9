"""What a ranking says of its order, from made-up runs: every odd shape of a sweep included."""

from __future__ import annotations

import json
import statistics
import warnings
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cifar_exp.comparison import Method, Ranking, Row, rank
from cifar_exp.comparison.inference import infer
from cifar_exp.comparison.method import YARDSTICKS
from cifar_exp.comparison.row import ConfirmationResult, TrialResult
from cifar_exp.comparison.statistics.estimate import estimate
from cifar_exp.comparison.statistics.may_be_best import own_estimates, p_may_be_best
from cifar_exp.comparison.statistics.resampling import NUM_DRAWS
from cifar_exp.comparison.statistics.sensitivity import accuracy_lost
from cifar_exp.comparison.statistics.survival import Point
from cifar_exp.errors import BadInput
from cifar_exp.records import RunRecord
from cifar_exp.report.text.formats import to_json, to_markdown
from cifar_exp.report.text.sentences import sentences
from cifar_exp.report.text.tidy import to_csv
from tests.records import combination, confirmation, scored, sweep, trial

A = (0.70, 0.72, 0.74)
B = (0.69, 0.71, 0.72)
C = (0.50, 0.51, 0.55)
NOISE = 4 * 0.5 / NUM_DRAWS**0.5  # four standard errors of a share of the draws


def ranked(*parts: list[RunRecord], **method: Any) -> Ranking:
    return rank([sweep(), *(record for part in parts for record in part)], method=Method(**method))


def by_name(ranking: Ranking) -> dict[str, Row]:
    return {row.combination: row for row in ranking.combinations}


def text(ranking: Ranking) -> str:
    return "\n".join(sentences(ranking))


def measured(name: str, number: int, **metrics: float) -> RunRecord:
    return confirmation(name, number, 0.5, metrics={"test_accuracy": 0.5, **metrics})


# Intervals and order.


def test_the_comparison_by_scipy() -> None:
    found = ranked(scored("a+x", *A), scored("b+x", *B), scored("c+x", *C))
    _, second, third = found.combinations
    reference = stats.tukey_hsd(A, B, C)
    assert (second.p_adjusted, third.p_adjusted) == pytest.approx(tuple(reference.pvalue[0, 1:]))
    assert second.difference_to_best == pytest.approx(np.mean(A) - np.mean(B))
    bounds = reference.confidence_interval(0.95)
    assert (second.difference_low, second.difference_high) == pytest.approx(
        (bounds.low[0, 1], bounds.high[0, 1])
    )
    assert [row.in_best_group for row in found.combinations] == [True, True, False]
    variance = np.mean([np.var(group, ddof=1) for group in (A, B, C)])
    for row, values in zip(found.combinations, (A, B, C), strict=True):
        own = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
        assert (row.interval_low, row.interval_high) == pytest.approx((own.low, own.high))
    assert (found.compared, found.spread_pooled) == (3, True)
    assert found.spread_p == estimate([A, B, C]).p_equal
    shift = (found.minimum_detectable_difference or 0) / (2 * variance / 3) ** 0.5
    bound = stats.studentized_range.ppf(0.95, 3, 6) / 2**0.5
    assert stats.nct.sf(bound, 6, shift) == pytest.approx(0.8)
    by, low, high = (
        f"{100 * value:.2f}"
        for value in (np.mean(A) - np.mean(B), bounds.low[0, 1], bounds.high[0, 1])
    )
    assert (
        "How much worse than the first, with 95 % intervals that hold for all together: "
        f"b+x {by} points ({low} to {high}), c+x"
    ) in text(found)
    assert "Shown to be worse: 1 of 2." in text(found)
    assert (
        "± is the 95 % t interval of each combination's own seeds. Compared by Tukey-Kramer, with "
        f"one variance for all combinations (Breusch-Pagan p = {found.spread_p:.2g}). ranks: 90 % "
        "interval of the rank."
    ) in text(found)


def test_p_best_and_ranks() -> None:
    found = ranked(scored("a+x", *A), scored("b+x", *B), scored("c+x", *C))
    shares = [row.p_best or 0.0 for row in found.combinations]
    assert sum(shares) == pytest.approx(1.0)
    assert shares == sorted(shares, reverse=True)
    assert [(row.rank_low, row.rank_high) for row in found.combinations] == [(1, 2), (1, 2), (3, 3)]


def test_what_may_be_the_best() -> None:
    found = ranked(scored("a+x", *A), scored("b+x", *B), scored("c+x", *C))
    p_values = p_may_be_best(own_estimates([A, B, C]))
    assert [row.p_may_be_best for row in found.combinations] == p_values.tolist()
    assert [row.may_be_best for row in found.combinations] == [True, True, False]
    scope, verdict, *_ = sentences(found)
    assert scope.startswith("True for these settings, found by one search each, ")
    assert verdict == "2 of 3 may be the best, with 95 % confidence: a+x, b+x."
    strict = ranked(scored("a+x", *A), scored("b+x", *B), scored("c+x", *C), alpha=0.0001)
    assert [row.may_be_best for row in strict.combinations] == [True, True, True]


def test_equal_seeds_have_the_noise_of_the_test_set_where_its_size_is_known() -> None:
    def equal(name: str, value: float, test_images: int | None) -> list[RunRecord]:
        run, best, *confirmed = scored(name, value, value, value)
        return [run, best, *(replace(r, test_images=test_images) for r in confirmed)]

    [first, second] = ranked(equal("a+x", 0.7, 1000), equal("b+x", 0.69, 1000)).combinations
    error = (2 * 0.7 * 0.3 / 1000 / 3) ** 0.5  # nearly equal binomial variances: a t test
    assert second.p_may_be_best == pytest.approx(stats.t.sf(0.01 / error, 4), abs=0.03)
    assert first.test_images == 1000
    unknown = ranked(equal("a+x", 0.7, 1000), equal("b+x", 0.6, None))
    assert [row.may_be_best for row in unknown.combinations] == [None, None]


def test_a_clear_winner_is_called_best() -> None:
    found = ranked(scored("a+x", *A), scored("c+x", *C))
    assert sentences(found)[1] == "a+x is the best of 2, with 95 % confidence."
    alone = ranked(scored("a+x", *A), [combination("b+x")])
    assert sentences(alone)[1] == "a+x is the only combination that can be compared."
    assert "No result: b+x." in text(alone)


def test_of_many_alike_the_first_eight_are_named() -> None:
    found = ranked(*(scored(f"l{k}+x", *A) for k in range(10)))
    named = ", ".join(f"l{k}+x" for k in range(8))
    assert sentences(found)[1] == (
        f"10 of 10 may be the best, with 95 % confidence: {named} and 2 more."
    )


def test_unlike_spreads_are_named() -> None:
    wild = (0.3, 0.9, 0.5, 0.75, 0.2)
    calm = (0.700, 0.701, 0.699, 0.7005, 0.7)
    found = ranked(scored("a+x", *wild), scored("b+x", *calm))
    assert found.spread_pooled is False
    assert (
        "Compared by Welch's t and Holm over all pairs, as spreads differ (Breusch-Pagan p = "
        f"{found.spread_p:.2g})."
    ) in text(found)


@pytest.mark.parametrize(
    ("values", "rope", "equivalent"),
    [(B, 0.5, False), (B, 2.0, False), (B, 50.0, True), (C, 0.5, False)],
)
def test_practical_equivalence(values: tuple[float, ...], rope: float, equivalent: bool) -> None:
    found = ranked(scored("a+x", *A), scored("b+x", *values), rope=rope)
    second = found.combinations[1]
    assert second.equivalent is equivalent
    said = f"As good as the first in practice (within {rope:.2f} points): b+x."
    assert (said in text(found)) is equivalent
    difference = np.mean(A) - np.mean(values)
    scale = ((np.var(A, ddof=1) + np.var(values, ddof=1)) / 2 * 2 / 3) ** 0.5
    ends = stats.t.cdf([(end - difference) / scale for end in (-rope / 100, rope / 100)], df=4)
    assert second.p_equivalent == pytest.approx(ends[1] - ends[0], abs=NOISE)
    # Closer to one half than without a prior, which takes means that lie close for the same.
    flat = stats.t.cdf(-difference / scale, df=4)
    assert flat - NOISE <= (second.p_best or 0.0) < 0.5


def test_a_lower_alpha_widens_everything() -> None:
    wide, narrow = (
        by_name(ranked(scored("a+x", *A), scored("b+x", *B), alpha=alpha))["b+x"]
        for alpha in (0.01, 0.1)
    )
    assert wide.interval_high is not None
    assert narrow.interval_high is not None
    assert wide.interval_high > narrow.interval_high
    assert (wide.difference_high or 0) > (narrow.difference_high or 0)
    assert "± is the 99 % t interval of" in text(ranked(scored("a+x", *A), alpha=0.01))


def test_intervals_end_where_the_yardstick_does() -> None:
    wide, sure = (0.1, 0.2, 0.95), (0.99, 1.0, 0.98)
    first, second = ranked(scored("a+x", *sure), scored("b+x", *wide)).combinations
    own = stats.ttest_1samp(sure, 0.0).confidence_interval(0.95)
    assert own.high > 1
    assert first.interval_low == pytest.approx(own.low)
    assert first.interval_high == 1.0
    assert (second.interval_low, second.interval_high) == (0.0, 1.0)
    assert (second.difference_low, second.difference_high) == (-1.0, 1.0)


def test_a_lost_seed_is_lost_in_pairs() -> None:
    """Three of five seeds are better, two diverged: .6 and not 1."""
    lucky = [
        *scored("a+x", *A),
        *(confirmation("a+x", number, None, diverged=True) for number in (4, 5)),
    ]
    found = ranked(scored("b+x", 0.5, 0.5, 0.5, 0.5, 0.5), lucky)
    assert [row.combination for row in found.combinations] == ["b+x", "a+x"]
    assert found.pairwise == ((0.5, 0.4), (0.6, 0.5))
    assert found.pairwise_seeds == ((5, 5), (5, 5))


def test_pairs_on_common_seeds() -> None:
    found = ranked(scored("a+x", *A), scored("b+x", *B), scored("c+x"))
    assert found.pairwise[0] == (0.5, 1.0, None)
    assert found.pairwise[1] == (0.0, 0.5, None)
    assert found.pairwise_seeds[0] == (3, 3, 0)


CELLS = {"l1+x": (0.5, 0.52), "l1+y": (0.6, 0.63), "l2+x": (0.3, 0.32), "l2+y": (0.4, 0.41)}


def test_the_shares_of_combinations_that_were_tuned_once() -> None:
    found = ranked(*(scored(name, *values) for name, values in CELLS.items()))
    loss, optimizer, interaction, seed, residual = found.two_way
    assert (loss.error, optimizer.error, seed.error) == (
        *("loss:optimizer", "loss:optimizer"),
        "residual",
    )
    # The cell means are .51, .615, .31 and .405: the losses differ by .205, the optimizers by .1,
    # and the interaction is (.105 - .095) / 2. Every sum of squares is 8 (half of it)^2.
    squares = [8 * (difference / 2) ** 2 for difference in (0.205, 0.1, 0.005)]
    assert [s.sum_of_squares for s in (loss, optimizer, interaction)] == pytest.approx(squares)
    assert loss.f == pytest.approx(squares[0] / squares[2])
    assert loss.p == pytest.approx(stats.f.sf(squares[0] / squares[2], 1, 1))
    total = np.var([value for values in CELLS.values() for value in values]) * 8
    shares = [100 * (ss - squares[2]) / (total + squares[2]) for ss in squares[:2]]
    luck = 100 * (squares[2] - residual.mean_square) / (total + residual.mean_square)
    assert (optimizer.p or 0.0) > (loss.p or 0.0)
    assert (
        f"Share of the variance (omega squared): loss {shares[0]:.0f} %, optimizer {shares[1]:.0f} "
        f"%, loss:optimizer or luck of tuning (not separable) {max(luck, 0):.0f} %, seed"
    ) in text(found)


def with_studies(ranking: Ranking, studies: int) -> Ranking:
    rows = [replace(row, studies=studies) for row in ranking.combinations]
    again, inference = infer(rows, ranking.method)
    told = {field.name: getattr(inference, field.name) for field in fields(inference)}
    return replace(ranking, combinations=tuple(again), **told)


def test_the_shares_of_repeated_tunings() -> None:
    found = with_studies(ranked(*(scored(name, *values) for name, values in CELLS.items())), 2)
    assert [source.source for source in found.two_way] == [
        *("loss", "optimizer", "loss:optimizer", "study", "residual"),
    ]
    assert {source.error for source in found.two_way[:4]} == {"residual"}
    assert not any(source.with_luck for source in found.two_way)
    interaction = found.two_way[2]
    assert f"loss:optimizer at most {100 * (interaction.at_most or 0):.0f} %" in text(found)


def test_a_single_optimizer_has_no_share_that_is_the_losses_own() -> None:
    found = ranked(scored("a+x", *A), scored("b+x", *B), scored("c+x", *C))
    assert "(omega squared): loss or luck of tuning (not separable) 9" in text(found)


def test_unequal_spreads_are_tested_only_if_tunings_are_repeated() -> None:
    calm, wild = (0.5, 0.501, 0.499, 0.5, 0.502), (0.2, 0.9, 0.5, 0.7, 0.1)
    cells = {"l1+x": calm, "l1+y": wild, "l2+x": calm[::-1], "l2+y": wild[::-1]}
    once = ranked(*(scored(name, *values) for name, values in cells.items()))
    assert "Not tested, as spreads differ: loss, optimizer." in text(once)
    repeated = with_studies(once, 5)
    assert "loss not shown, optimizer not shown, loss:optimizer not shown." in text(repeated)


# Yardsticks.


def test_a_smaller_value_is_better_where_the_yardstick_says_so() -> None:
    records = {
        name: [
            combination(name),
            trial(name, 0, 0.5),
            *(measured(name, i, test_nll=nll) for i, nll in enumerate(values, start=1)),
        ]
        for name, values in {"a+x": (0.9, 1.0, 1.1), "b+x": (0.5, 0.6, 0.7)}.items()
    }
    found = ranked(*records.values(), yardstick="test_nll")
    first, second = found.combinations
    assert (first.combination, first.rank) == ("b+x", 1)
    assert first.mean == pytest.approx(0.6)
    assert second.difference_to_best == pytest.approx(0.4)
    assert found.pairwise[0][1] == 1.0
    assert (first.p_best or 0) > 0.9
    assert [row.may_be_best for row in found.combinations] == [True, False]
    assert first.metric_means == pytest.approx({"test_accuracy": 0.5, "test_nll": 0.6})
    assert first.metric_stds == pytest.approx({"test_accuracy": 0.0, "test_nll": 0.1})
    assert "test NLL" in to_markdown(found)


def test_a_yardstick_that_was_not_measured() -> None:
    with pytest.raises(BadInput, match="no confirmation has test_ece; there are test_accuracy"):
        ranked(scored("a+x", *A), yardstick="test_ece")


def test_an_unknown_yardstick() -> None:
    with pytest.raises(BadInput, match='unknown yardstick "acc"'):
        Method(yardstick="acc")


# Odd shapes.

SHAPES: dict[str, list[list[RunRecord]]] = {
    "nothing": [],
    "one combination": [scored("a+x", *A)],
    "one seed": [scored("a+x", 0.5), scored("b+x", 0.6)],
    "one seed of one combination": [scored("a+x", 0.5)],
    "unequal seeds": [scored("a+x", *A), scored("b+x", 0.7)],
    "no spread": [scored("a+x", 0.7, 0.7), scored("b+x", 0.6, 0.6)],
    "ties": [scored("a+x", *A), scored("b+x", *A)],
    "no result": [scored("a+x", *A), [combination("b+x")]],
    "no result at all": [[combination("b+x")]],
    "a lost seed": [
        scored("a+x", *A),
        [*scored("b+x", 0.9, 0.9), confirmation("b+x", 3, None, diverged=True)],
    ],
    "all lost a seed": [
        [*scored("b+x", 0.9, 0.8), confirmation("b+x", 3, None, diverged=True)],
        [*scored("a+x", 0.7, 0.6), confirmation("a+x", 3, None, diverged=True)],
    ],
}


@pytest.mark.parametrize("parts", SHAPES.values(), ids=SHAPES.keys())
def test_odd_shapes_give_files_without_a_warning(parts: list[list[RunRecord]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ranked(*parts)
        document = json.loads(to_json(found))
        assert len(to_csv(found).splitlines()) == 1 + len(parts)
        assert to_markdown(found).startswith("| rank |")
    assert [row["combination"] for row in document["combinations"]] == [
        row.combination for row in found.combinations
    ]
    assert document["sentences"] == sentences(found)
    assert len(document["pairwise"]) == len(parts)


def test_one_seed_has_no_interval_and_says_why() -> None:
    found = ranked(*SHAPES["one seed"])
    assert [row.interval_low for row in found.combinations] == [None, None]
    assert [row.p_best for row in found.combinations] == [None, None]
    assert [row.in_best_group for row in found.combinations] == [True, True]
    assert [row.may_be_best for row in found.combinations] == [None, None]
    assert [row.p_may_be_best for row in found.combinations] == [None, None]
    assert "b+x is first, but this cannot be tested: one seed each" in text(found)


def test_equal_seeds_have_no_interval_and_say_why() -> None:
    found = ranked(*SHAPES["no spread"])
    assert found.combinations[0].interval_low is None
    assert "the seeds of each combination have equal values" in text(found)


def test_ties_share_everything() -> None:
    first, second = ranked(*SHAPES["ties"]).combinations
    assert (first.combination, second.combination) == ("a+x", "b+x")
    assert second.p_adjusted == pytest.approx(1.0)
    assert second.p_best == pytest.approx(0.5, abs=0.02)
    assert (second.rank_low, second.rank_high) == (1, 2)


def test_what_lost_a_seed_is_not_compared() -> None:
    found = ranked(*SHAPES["a lost seed"])
    lost = by_name(found)["b+x"]
    assert (lost.rank, lost.in_best_group, lost.p_best, lost.rank_low) == (2, None, None, None)
    assert (lost.may_be_best, lost.p_may_be_best) == (None, None)
    assert found.compared == 1
    assert "Seeds were lost, so these rank behind and are not compared: b+x (2 of 3)." in text(
        found
    )


def test_where_all_lost_a_seed_they_are_compared() -> None:
    found = ranked(*SHAPES["all lost a seed"])
    assert found.compared == 2
    assert [row.in_best_group is None for row in found.combinations] == [False, False]


def test_few_seeds_are_warned_of() -> None:
    assert "With 2 seeds" in text(ranked(scored("a+x", 0.5, 0.6), scored("b+x", 0.5, 0.7)))
    assert "With 3 seeds" in text(ranked(scored("a+x", *A), scored("b+x", *B)))
    four = (scored("a+x", *A, 0.73), scored("b+x", *B, 0.70))
    assert "With 4 seeds for some combinations, unequal spreads may stay undetected" in text(
        ranked(*four)
    )
    five = (scored("a+x", *A, 0.73, 0.71), scored("b+x", *B, 0.70, 0.71))
    assert "With 5 seeds" not in text(ranked(*five))


accuracies = st.lists(st.integers(0, 30).map(lambda n: n / 30), min_size=0, max_size=4)


@given(st.lists(accuracies, min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_values_are_written_and_the_parts_agree(groups: list[list[float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ranked(*(scored(f"l{k}+x", *values) for k, values in enumerate(groups)))
        written = json.loads(to_json(found))["combinations"]
    held = {row["combination"]: (row["values"], row["mean"]) for row in written}
    for k, values in enumerate(groups):
        mean = statistics.fmean(values) if values else None
        assert held[f"l{k}+x"] == (values, mean)
    for row in found.combinations:
        assert (row.rank is None) == (row.mean is None)
        if row.interval_low is not None and row.interval_high is not None:
            assert row.interval_low <= (row.mean or 0) <= row.interval_high
        if row.p_adjusted is not None:
            assert row.in_best_group == (row.p_adjusted >= found.alpha)
        if row.p_may_be_best is not None:
            assert row.may_be_best == (row.p_may_be_best > found.alpha)
            assert row.may_be_best or row.rank != 1
        if row.rank_low is not None and row.rank_high is not None:
            assert 1 <= row.rank_low <= (row.rank or 0) <= row.rank_high <= found.compared


def test_the_same_records_give_the_same_bytes() -> None:
    parts = [scored("a+x", *A), scored("b+x", *B), scored("c+x", *C)]
    assert to_json(ranked(*parts)) == to_json(ranked(*reversed(parts)))


# Tuning.


def tuned(search: dict[str, Any], *trials: RunRecord, **ranges: str) -> Row:
    run = combination("mse+sgd")
    known = RunRecord(**{**_fields(run), "params": {**run.params, **ranges}})
    [only] = rank([sweep(**search), known, *trials]).combinations
    return only


def _fields(record: RunRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in RunRecord.__slots__}


def at(
    number: int, lr: float, accuracy: float | None, batch_size: int = 64, **changes: Any
) -> RunRecord:
    params = {"lr": str(lr), "batch_size": str(batch_size), "threads": "1"}
    return trial("mse+sgd", number, accuracy, params=params, **changes)


TRIALS = [
    at(0, 0.1, 0.4),
    at(1, 1.0, None, diverged=True),
    at(2, 0.01, 0.6),
    at(3, 0.001, 0.2),
]


@pytest.mark.parametrize("sampler", ["random", "qmc"])
def test_the_budget_curve_of_independent_trials_is_an_expectation(sampler: str) -> None:
    # of 0, 0.2, 0.4, 0.6: mean 0.3; pairs 0.2, 0.4, 0.6, 0.4, 0.6, 0.6 over 6; and so on
    expected = (0.3, 2.8 / 6, (0.4 + 3 * 0.6) / 4, 0.6)
    found = tuned({"sampler": sampler, "pruner": "none"}, *TRIALS)
    assert found.expected_best == pytest.approx(expected)
    ranking = rank([sweep(sampler=sampler, pruner="none")])
    assert ranking.budget_curve == "expected best of n trials"


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [*product(["tpe", "gp", "of a later version"], ["none", "median"]), ("random", "median")],
)
def test_the_budget_curve_of_dependent_trials_is_best_so_far(sampler: str, pruner: str) -> None:
    params: dict[str, Any] = {"sampler": sampler, "pruner": pruner}
    assert tuned(params, *TRIALS).expected_best == (0.4, 0.4, 0.6, 0.6)
    assert rank([sweep(**params)]).budget_curve == "best so far, in this one order"


def test_a_pruned_or_diverged_trial_gives_no_more_than_chance() -> None:
    found = tuned(
        {"sampler": "random", "pruner": "median"},
        at(0, 1.0, None, diverged=True, num_classes=4),
        at(1, 0.5, 0.9, state="PRUNED", num_classes=4),
        at(2, 0.1, 0.4, num_classes=4),
    )
    assert found.expected_best == (0.25, 0.25, 0.4)


def test_a_trial_that_crashed_is_no_trial_of_the_budget() -> None:
    crashed = at(1, 0.5, None)
    independent = {"sampler": "random", "pruner": "none"}
    found = tuned(independent, at(0, 0.1, 0.4), crashed, at(2, 0.1, 0.6))
    assert found.expected_best == pytest.approx((0.5, 0.6))
    assert found.trials == 3


CONFIRMED = confirmation("mse+sgd", 1, 0.5, confirms=2, metrics={"val_accuracy": 0.55})
"""The best of `TRIALS` reached .6 and, on a fresh seed, .55."""
PEAK = [(0.001, 0.2), (0.1, 0.4)], (0.01, 0.55)
"""The others, and the best with its accuracy on a fresh seed."""


def test_the_response_to_the_learning_rate() -> None:
    only = tuned({}, *TRIALS, CONFIRMED)
    assert only.lr_response == ((0.001, 0.2), (0.01, 0.6), (0.1, 0.4))
    assert only.accuracy_lost_lr_times_3 == accuracy_lost(*PEAK, 3)
    assert only.accuracy_lost_lr_third == accuracy_lost(*PEAK, 1 / 3)
    assert (only.diverged_lr_times_3, only.diverged_lr_third) == (False, False)
    assert only.diverged_share == 0.25
    assert [t.number for t in only.trial_results] == [0, 1, 2, 3]
    assert only.trial_results[1] == TrialResult(
        number=1,
        state="FAIL",
        diverged=True,
        lr=1.0,
        batch_size=64,
        val_accuracy=None,
        seconds=10.0,
    )


def test_without_a_confirmation_what_is_lost_is_not_known() -> None:
    only = tuned({}, *TRIALS)
    assert (only.accuracy_lost_lr_times_3, only.accuracy_lost_lr_third) == (None, None)


def test_a_trial_that_diverged_in_between_is_said_instead() -> None:
    only = tuned({}, *TRIALS, at(4, 0.02, None, diverged=True), CONFIRMED)
    assert (only.accuracy_lost_lr_times_3, only.diverged_lr_times_3) == (None, True)
    assert only.diverged_lr_third is False
    assert only.accuracy_lost_lr_third is not None


def test_trials_with_another_batch_size_say_nothing_of_the_learning_rate() -> None:
    others = [
        at(4, 0.02, None, diverged=True, batch_size=128),
        at(5, 0.03, 0.1, batch_size=128),
    ]
    only = tuned({}, *TRIALS, *others, CONFIRMED)
    assert only.accuracy_lost_lr_times_3 == accuracy_lost(*PEAK, 3)


def test_diverged_trials_are_told_from_failed_ones() -> None:
    found = ranked([combination("mse+sgd"), *TRIALS, at(4, 0.1, None)])
    assert "Diverged trials: mse+sgd 1 of 5." in text(found)


def test_trials_that_reach_no_farther_say_nothing() -> None:
    only = tuned({}, at(0, 0.1, 0.5), at(1, 0.2, 0.4), replace(CONFIRMED, confirms=0))
    assert (only.accuracy_lost_lr_times_3, only.accuracy_lost_lr_third) == (None, None)


@pytest.mark.parametrize(
    ("ranges", "edge"),
    [
        ({"lr_low": "0.009", "lr_high": "10"}, "low"),
        ({"lr_low": "0.0001", "lr_high": "0.011"}, "high"),
        ({"lr_low": "0.0001", "lr_high": "1.0"}, None),
        ({}, None),
    ],
)
def test_the_best_learning_rate_at_an_edge(ranges: dict[str, str], edge: str | None) -> None:
    only = tuned({}, *TRIALS, **ranges)
    assert only.lr_edge == edge
    ends = [float(ranges[name]) if ranges else None for name in ("lr_low", "lr_high")]
    assert [only.lr_low, only.lr_high] == ends


def test_an_edge_is_warned_of() -> None:
    run = combination("mse+sgd")
    params = {**run.params, "lr_low": "0.0001", "lr_high": "0.011"}
    found = rank([sweep(), RunRecord(**{**_fields(run), "params": params}), *TRIALS])
    assert "so a better one may lie outside: mse+sgd (high end)." in text(found)


def test_winners_curse() -> None:
    parts = []
    for name, accuracies in {"a+x": (0.6, 0.7), "b+x": (0.75, 0.77)}.items():
        again = [
            confirmation(
                name,
                k,
                0.5,
                metrics={"test_accuracy": 0.5, "val_accuracy": value, "seconds": 3.0},
                params={"seed": str(20 + k)},
            )
            for k, value in enumerate(accuracies, start=1)
        ]
        parts.append([combination(name), trial(name, 0, 0.75), *again])
    found = ranked(*parts)
    first, second = found.combinations
    assert first.val_accuracy == 0.75
    assert first.val_accuracy_confirmed == pytest.approx(0.65)
    assert first.winners_curse == pytest.approx(0.1)
    assert second.winners_curse == pytest.approx(-0.01)
    assert (  # (0.1 - 0.01) / 2 on average
        "Validation accuracy of the best trials minus that of the same settings on fresh seeds: "
        "+4.50 points on average, at most +10.00 (a+x)."
    ) in text(found)
    assert first.confirmation_results[1] == ConfirmationResult(
        number=2,
        seed=22,
        state="COMPLETE",
        val_accuracy=0.7,
        seconds=3.0,
        metrics={"test_accuracy": 0.5},
    )


def test_the_winners_curse_is_told_apart_where_seeds_were_lost() -> None:
    lost = [
        *confirmed_at("a+x", 0.7),
        confirmation("a+x", 2, None, diverged=True),
    ]
    found = ranked(lost, confirmed_at("b+x", 0.74))
    assert (
        "on fresh seeds: +1.00 points on average, at most +1.00 (b+x). Without those that lost "
        "seeds: a+x at least +5.00."
    ) in text(found)


def confirmed_at(name: str, accuracy: float) -> list[RunRecord]:
    """Return a combination whose best trial reached .75, and again this accuracy."""
    metrics = {"test_accuracy": 0.5, "val_accuracy": accuracy, "seconds": 3.0}
    return [
        combination(name),
        trial(name, 0, 0.75),
        confirmation(name, 1, 0.5, metrics=metrics, params={"seed": "21"}),
    ]


@pytest.mark.parametrize(("target", "share", "reached"), [(None, 0.8, 2), (60.0, 0.6, 3)])
def test_the_time_to_a_target(target: float | None, share: float, reached: int) -> None:
    curves = {
        f"a+x seed {k} of 0": [Point(epoch=1, seconds=5.0 * k, accuracy=accuracy)]
        for k, accuracy in enumerate((0.6, 0.8, 0.9), start=1)
    }
    method = Method(target=target)
    found = rank([sweep(), *scored("a+x", *A), *scored("b+x", *B)], method=method, curves=curves)
    first, second = found.combinations
    assert found.target == share
    assert first.time_to_target is not None
    assert (first.time_to_target.trainings, first.time_to_target.reached) == (3, reached)
    assert second.time_to_target is None


# Fairness.


def conditions(**changes: Any) -> Ranking:
    """Rank three combinations, the last of which had other parameters."""
    params = {
        "lr": "0.1",
        "batch_size": "8",
        "epochs": "5",
        "dataset": "digits",
        "model": "seed_cnn",
        "augment": "flip",
        "precision": "fp32",
        "device": "cpu",
        "threads": "1",
    }
    tags = {"version.torch": "2.9", "mlflow.source.git.commit": 4 * "0123456789"}
    records = [sweep()]
    for name in ("a+x", "b+x", "c+x"):
        seen = {**params, **(changes if name == "c+x" else {})}
        known = {key: value for key, value in seen.items() if value is not None}
        seeds = ({"seed": seed} for seed in ("7", "19", "8"))
        tuning, *others = (dict[str, Any](params={**known, **s}, tags=tags) for s in seeds)
        records += [
            combination(name),
            trial(name, 0, 0.5, data_digest="1111", **tuning),
            *(
                confirmation(name, k, 0.5, data_digest="1111", **other)
                for k, other in enumerate(others, start=1)
            ),
        ]
    return rank(records)


def test_conditions_that_are_the_same_are_listed() -> None:
    found = conditions()
    assert all(condition.same for condition in found.fairness)
    assert (
        "The same for all: trials 1; confirmations 2; epochs 5; tuning seed 7; confirmation seeds "
        "8, 19; data set digits; data and split 1111; network seed_cnn; augmentation flip; "
        "precision fp32; device cpu; threads 1; torch 2.9; code 0123456789."
    ) in text(found)


def test_a_condition_that_differs_is_named() -> None:
    found = conditions(device="cuda")
    [device] = [c for c in found.fairness if c.name == "device"]
    assert (device.value, device.different) == ("cpu", {"c+x": "cuda"})
    assert "Not the same: device cpu, but cuda for c+x." in text(found)
    assert "Not the same: precision fp32, but unknown for c+x." in text(conditions(precision=None))


def test_changes_of_the_data_are_a_condition() -> None:
    changes = {"data_changes.noise.type": "symmetric", "data_changes.noise.rate": "0.4"}
    assert "data changes" not in {condition.name for condition in conditions().fairness}
    [found] = [c for c in conditions(**changes).fairness if c.name == "data changes"]
    assert found.value == "noise.rate = 0.4, noise.type = symmetric"
    assert found.different == {"a+x": "unknown", "b+x": "unknown"}


def test_another_number_of_trials_is_named() -> None:
    records = [*scored("a+x", *A), *scored("b+x", *B), trial("b+x", 1, 0.4), *scored("c+x", *C)]
    assert "Not the same: trials 1, but 2 for b+x." in text(rank([sweep(), *records]))


def test_another_data_split_is_named() -> None:
    records = [sweep()]
    for name, digest in (("a+x", "1111"), ("b+x", "1111"), ("c+x", "2222")):
        records += [combination(name), trial(name, 0, 0.5, data_digest=digest)]
    assert "Not the same: data and split 1111, but 2222 for c+x." in text(rank(records))


def test_every_yardstick_has_a_label_of_its_own() -> None:
    assert len({measure.label for measure in YARDSTICKS.values()}) == len(YARDSTICKS)
