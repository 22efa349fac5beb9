"""Budget curves, times to a target and learning rates, against brute force and numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cifar_exp.comparison.statistics.budget import best_so_far, expected_best
from cifar_exp.comparison.statistics.sensitivity import (
    accuracy_lost,
    climbing_end,
    diverged_between,
    edge_of_range,
)
from cifar_exp.comparison.statistics.survival import Point, median_time, time_to_target
from tests.comparison.statistics.calibration import sensitivity_bias

# Expected best.


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
@settings(max_examples=40, deadline=None)
def test_expected_best_is_the_mean_over_all_subsets(values: list[float]) -> None:
    for n, found in enumerate(expected_best(values), start=1):
        subsets = [max(subset) for subset in itertools.combinations(values, n)]
        assert found == pytest.approx(sum(subsets) / len(subsets), abs=1e-12)


def test_expected_best_by_the_formula() -> None:
    values = sorted(np.random.default_rng(0).random(200))
    found = expected_best(values)
    for n in (1, 2, 50, 199, 200):
        weights = [math.comb(j - 1, n - 1) / math.comb(200, n) for j in range(1, 201)]
        assert found[n - 1] == pytest.approx(np.dot(weights, values), rel=1e-9)


def test_expected_best_is_unbiased() -> None:
    """The largest of n uniform values is n / (n + 1) on average."""
    rng = np.random.default_rng(0)
    curves = np.array([expected_best(list(row)) for row in rng.random((4000, 6))])
    errors = curves.std(axis=0) / 4000**0.5
    expected = np.arange(1, 7) / np.arange(2, 8)
    assert np.all(np.abs(curves.mean(axis=0) - expected) < 4 * errors)


def test_no_trials_have_no_curve() -> None:
    assert expected_best([]) == []
    assert best_so_far([]) == []


def test_best_so_far() -> None:
    assert best_so_far([0.2, 0.1, 0.5, 0.4]) == [0.2, 0.2, 0.5, 0.5]


# Time to target.


def curve(*accuracies: float, seconds: float = 10.0) -> list[Point]:
    return [
        Point(epoch=epoch, seconds=seconds * epoch, accuracy=accuracy)
        for epoch, accuracy in enumerate(accuracies, start=1)
    ]


def test_time_to_target_counts_who_did_not_reach_it() -> None:
    curves = [curve(0.3, 0.6), curve(0.6), curve(0.1, 0.2, 0.3), curve(0.1, 0.5, 0.4)]
    found = time_to_target(curves, 0.5)
    # reached at epochs 2, 1 and 2; of four, half have by epoch 2
    assert (found.trainings, found.reached) == (4, 3)
    assert (found.median_epochs, found.median_seconds) == (2.0, 20.0)


def test_fewer_than_half_have_no_median() -> None:
    found = time_to_target([curve(0.6), curve(0.1, 0.2), curve(0.3, 0.3), []], 0.5)
    assert (found.reached, found.median_epochs, found.median_seconds) == (1, None, None)


def test_nobody_reached_it() -> None:
    found = time_to_target([curve(0.1)], 0.5)
    assert (found.trainings, found.reached, found.median_epochs) == (1, 0, None)


def test_a_divergence_after_one_epoch_does_not_shorten_the_median() -> None:
    """Censored at its end, it would leave one of one: a median of 2 epochs."""
    found = time_to_target([curve(0.1, 0.6), curve(0.1), curve(0.1)], 0.5)
    assert (found.reached, found.median_epochs) == (1, None)


@given(st.lists(st.integers(1, 20)), st.integers(0, 15))
@settings(max_examples=60, deadline=None)
def test_the_median_by_numpy(times: list[int], num_others: int) -> None:
    """Those that did not reach it take infinitely long."""
    all_times = [*times, *[math.inf] * num_others]
    found = median_time(times, len(all_times))
    if not all_times:
        assert found is None
        return
    expected = float(np.percentile(all_times, 50, method="inverted_cdf"))
    assert (math.inf if found is None else found) == expected


# Learning rates.


@pytest.mark.parametrize(
    ("rate", "edge"),
    [(1e-3, "low"), (1.9e-3, "low"), (2.1e-3, None), (3e-2, None), (0.49, None), (0.51, "high")],
)
def test_edges_are_a_tenth_of_three_decades(rate: float, edge: str | None) -> None:
    assert edge_of_range(rate, 1e-3, 1.0) == edge  # edges at 10 ** -2.7 and 10 ** -0.3


@pytest.mark.parametrize(
    ("accuracies", "diverged", "end"),
    [
        ((0.2, 0.1, 0.3, 0.4), [], "high"),
        ((0.4, 0.3, 0.2, 0.1), [], "low"),
        ((0.2, 0.1, 0.3, 0.4), [9.0], None),  # a higher one was tried
        ((0.1, 0.2, 0.5, 0.4), [], None),  # the best is not the highest
        ((0.1, 0.3, 0.2, 0.4), [], None),  # no climb
        ((0.5, 0.2, 0.3, 0.4), [], None),  # it climbs to a lower one
        ((0.1, 0.2), [], None),  # too few to see
        ((), [], None),
    ],
)
def test_accuracy_climbs_to_an_end(
    accuracies: tuple[float, ...], diverged: list[float], end: str | None
) -> None:
    trials = [(2.0**n, accuracy) for n, accuracy in enumerate(accuracies)]
    assert climbing_end(trials, [rate for rate, _ in trials] + diverged) == end
    assert climbing_end([(0.1, 0.1), (0.1, 0.2), (0.1, 0.3)], [0.1]) is None


def test_between_two_trials_accuracy_is_linear_in_the_logarithm() -> None:
    share = math.log10(3)
    assert accuracy_lost([(1.0, 0.5)], (0.1, 0.7), 3) == pytest.approx(0.2 * share)
    assert accuracy_lost([(0.01, 0.6)], (0.1, 0.7), 1 / 3) == pytest.approx(0.1 * share)


def test_at_the_rate_of_a_trial_its_accuracy_counts() -> None:
    trials = [(0.001, 0.2), (0.01, 0.6), (1.0, 0.5)]
    assert accuracy_lost(trials, (0.1, 0.7), 10) == pytest.approx(0.2)
    assert accuracy_lost(trials, (0.1, 0.7), 0.01) == pytest.approx(0.5)


def test_near_a_peak_less_is_lost_than_on_a_straight_line() -> None:
    parabola = [(10.0**place, 0.7 - 0.1 * place**2) for place in (-2, -1, 1, 2)]
    lost = accuracy_lost(parabola, (1.0, 0.7), 3)
    truth, straight = 0.1 * math.log10(3) ** 2, 0.1 * math.log10(3)
    assert lost is not None
    assert truth < lost < (truth + straight) / 2


def test_trials_that_do_not_reach_so_far_say_nothing() -> None:
    assert accuracy_lost([(0.25, 0.6)], (0.1, 0.7), 3) is None
    assert accuracy_lost([], (0.1, 0.7), 3) is None


def test_trials_of_the_same_rate_count_by_their_mean() -> None:
    assert accuracy_lost([(1.0, 0.6), (1.0, 0.4)], (0.1, 0.7), 10) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rate", "up", "down"), [(0.3, True, False), (0.31, False, False), (0.05, False, True)]
)
def test_a_trial_that_diverged_counts_up_to_the_rate_itself(
    rate: float, up: bool, down: bool
) -> None:
    assert diverged_between([9.0, rate], 0.1, 3) is up
    assert diverged_between([9.0, rate], 0.1, 1 / 3) is down


def test_the_best_trial_alone_says_that_too_much_is_lost() -> None:
    """The reason for fresh seeds at the top: ten trials that are all equally good."""
    naive, fresh = sensitivity_bias(true_loss=0.0, spread=0.012, num_sweeps=400)
    assert naive > 0.015
    assert abs(fresh) < 0.2 * naive
