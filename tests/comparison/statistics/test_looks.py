"""Looks at a growing number of replicates: by hand, and on made-up sweeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Estimates, Floats
from cifar_exp.comparison.statistics.looks import Decision, alpha_shares, decide, looks
from cifar_exp.comparison.statistics.may_be_best import own_estimates, p_may_be_best
from tests.comparison.statistics.simulation_of_best import ALPHA, MEANS, SPREADS, sweeps
from tests.comparison.statistics.simulation_of_looks import outcome, replay

Samples = Mapping[str, Sequence[float | None]]
HIGH = [0.90, 0.91, 0.92, 0.90, 0.91, 0.92]
SAME = [0.91, 0.92, 0.90, 0.92, 0.90, 0.91]
LOW = [0.50, 0.51, 0.52, 0.50, 0.51, 0.52]
LOST = [0.90, None, 0.92, 0.90, 0.91, 0.92]


def few_draws(estimates: Estimates) -> Floats:
    return p_may_be_best(estimates, num_draws=1000)


def at(size: int, **samples: Sequence[float | None]) -> Samples:
    return {name: values[:size] for name, values in samples.items()}


@pytest.mark.parametrize(
    ("first", "most", "sizes"),
    [(5, 20, (5, 10, 20)), (3, 20, (3, 6, 12, 20)), (5, 5, (5,)), (1, 3, (1, 2, 3))],
)
def test_looks_double_up_to_the_most(first: int, most: int, sizes: tuple[int, ...]) -> None:
    assert looks(first, most) == sizes


@pytest.mark.parametrize(("first", "most"), [(0, 5), (6, 5)])
def test_no_looks(first: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"from {first} to {most}"):
        looks(first, most)


def test_the_looks_share_alpha_and_more_of_them_change_only_the_last() -> None:
    assert [alpha_shares(n) for n in (1, 2, 3)] == [(1.0,), (0.5, 0.5), (0.5, 0.25, 0.25)]
    assert alpha_shares(4)[:2] == alpha_shares(3)[:2]
    assert sum(alpha_shares(9)) == 1


def test_only_what_may_be_the_best_needs_more() -> None:
    start = decide({"a": [], "b": [], "c": []}, (3, 6), ALPHA)
    assert start == Decision(
        remaining=("a", "b", "c"), needed={"a": 3, "b": 3, "c": 3}, ended=None, p_values={}
    )
    partly = decide({"a": HIGH[:3], "b": SAME[:2], "c": LOW[:3]}, (3, 6), ALPHA)
    assert partly == start
    first = decide(at(3, a=HIGH, b=SAME, c=LOW), (3, 6), ALPHA)
    assert (first.remaining, first.ended) == (("a", "b"), None)
    assert first.needed == {"a": 6, "b": 6, "c": 3}
    last = decide({"a": HIGH, "b": SAME, "c": LOW[:3]}, (3, 6), ALPHA)
    assert (last.remaining, last.ended) == (("a", "b"), "most reached")
    assert last.needed == first.needed
    assert last.p_values["c"] <= ALPHA < min(last.p_values["a"], last.p_values["b"])


def test_one_left_needs_no_more() -> None:
    found = decide(at(3, a=HIGH, c=LOW), (3, 6), ALPHA)
    assert (found.remaining, found.ended, found.needed) == (("a",), "one left", {"a": 3, "c": 3})
    alone = decide(at(3, a=HIGH), (3, 6), ALPHA)
    assert (alone.remaining, alone.ended) == (("a",), "one left")


def test_those_within_indifference_need_no_more() -> None:
    samples = {"a": [0.90, 0.94, 0.92], "b": [0.90, 0.92, 0.91]}
    ends = [decide(samples, (3, 6), ALPHA, by).ended for by in (0.0, 0.009, 0.0101)]
    assert ends == [None, None, "indifferent"]
    equal = {"a": [0.90, 0.94, 0.92], "b": [0.91, 0.93, 0.92]}
    assert decide(equal, (3, 6), ALPHA).ended is None


def test_p_values_are_those_of_the_looks_divided_by_their_shares() -> None:
    samples = {"a": HIGH, "b": [0.89, 0.92, 0.91, 0.88, 0.89, 0.91]}
    found = decide(samples, (3, 6), ALPHA)
    at_looks = [p_may_be_best(own_estimates([x[:n] for x in samples.values()])) for n in (3, 6)]
    expected = np.minimum(1, np.min(at_looks, axis=0) / 0.5)
    assert list(found.p_values.values()) == pytest.approx(expected)
    [once] = [decide(samples, (6,), ALPHA)]
    assert list(once.p_values.values()) == pytest.approx(at_looks[1])


def test_a_failed_replicate_puts_out() -> None:
    found = decide(at(3, a=HIGH, b=LOST, c=SAME), (3, 6), ALPHA)
    assert found.remaining == ("a", "c")
    assert found.needed == {"a": 6, "b": 3, "c": 6}
    assert "b" not in found.p_values
    before = decide({"a": HIGH[:1], "b": LOST[:1]}, (1, 2), ALPHA)
    assert before.remaining == ("a", "b")  # it fails later
    assert decide({"a": HIGH[:3], "b": LOST[:3]}, (3, 6), ALPHA).ended == "one left"


def test_where_all_have_a_failed_one_the_others_count() -> None:
    found = decide({"a": [None, *HIGH[:2]], "b": [None, *LOW[:2]], "c": [None] * 3}, (3,), ALPHA)
    assert found.remaining == ("a",)
    assert decide({"a": [None], "b": [None]}, (1, 2), ALPHA).ended == "none left"


def test_one_replicate_each_excludes_nothing() -> None:
    found = decide(at(1, a=HIGH, c=LOW), (1, 2), ALPHA)
    assert (found.remaining, found.needed, found.p_values) == (("a", "c"), {"a": 2, "c": 2}, {})


results = st.one_of(st.none(), st.integers(0, 20).map(float))


@given(st.lists(st.lists(results, min_size=8, max_size=8), min_size=1, max_size=4), st.data())
@settings(max_examples=15, deadline=None)
def test_a_sweep_that_trains_what_is_needed_ends_as_one_that_has_trained_all(
    lines: list[list[float | None]], data: st.DataObject
) -> None:
    every = {str(k): line for k, line in enumerate(lines)}
    trained = dict.fromkeys(every, 0)
    for most in (4, 8):  # a larger one goes on
        plan = looks(2, most)
        while True:
            found = decide({k: every[k][:n] for k, n in trained.items()}, plan, 0.2, test=few_draws)
            missing = [k for k, n in found.needed.items() if trained[k] < n]
            assert bool(missing) == (found.ended is None)
            if not missing:
                break
            trained[data.draw(st.sampled_from(missing))] += 1  # in any order
        assert found == decide(every, plan, 0.2, test=few_draws)
        assert set(found.remaining) <= set(every)


# Not fooled, and cheaper.


def test_the_looks_together_keep_the_best() -> None:
    values = sweeps(np.zeros(6), np.sort(SPREADS)[::3], 12, 200)
    lost = round(200 * outcome(replay(values, (3, 6, 12))).lost)
    assert stats.binomtest(lost, 200, ALPHA, alternative="greater").pvalue > 1e-4


def test_the_looks_find_the_published_best_with_a_third_of_the_trainings() -> None:
    found = outcome(replay(sweeps(MEANS, SPREADS, 20, 60), (5, 10, 20)))
    assert found.replicates < 120  # of 320
    assert found.alone > 0.75
    assert found.lost == 0
