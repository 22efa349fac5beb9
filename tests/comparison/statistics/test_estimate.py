"""Spreads and intervals, against scipy, statsmodels and values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.diagnostic import het_breuschpagan

from cifar_exp.comparison.statistics.estimate import (
    POOLING_LEVEL,
    breusch_pagan,
    equal_spread_p,
    estimate,
    own_spreads,
)
from cifar_exp.comparison.statistics.interval import half_widths, intervals
from tests.comparison.statistics.calibration import interval_coverage

ALIKE = [[0.70, 0.72, 0.74], [0.60, 0.63, 0.66], [0.50, 0.51, 0.55]]
UNLIKE = [[0.70, 0.701, 0.699, 0.7005, 0.7], [0.60, 0.61, 0.5, 0.72, 0.41]]


def test_pooled_variance_by_hand() -> None:
    found = estimate([[1.0, 3.0], [2.0, 4.0, 6.0]])  # squares 1 + 1 and 4 + 0 + 4, over 1 + 2
    assert found.pooled
    assert found.means.tolist() == [2.0, 4.0]
    assert found.variances == pytest.approx([10 / 3, 10 / 3])
    assert found.dofs.tolist() == [3.0, 3.0]


def test_unlike_spreads_are_not_pooled() -> None:
    found = estimate(UNLIKE)
    assert not found.pooled
    assert found.p_equal is not None
    assert found.p_equal < POOLING_LEVEL
    assert found.variances == pytest.approx([np.var(group, ddof=1) for group in UNLIKE])
    assert found.dofs.tolist() == [4.0, 4.0]


@pytest.mark.parametrize(("p_value", "pooled"), [(0.07, False), (0.14, True)])
def test_spreads_are_pooled_unless_their_p_value_is_below_a_tenth(
    p_value: float, pooled: bool
) -> None:
    pattern = np.arange(-2.0, 3.0)
    ratio = stats.f.isf(p_value / 2, 4, 4)  # of the variances, by the two-sided F test
    found = estimate([list(pattern), list(ratio**0.5 * pattern)])
    assert found.p_equal == pytest.approx(p_value, abs=0.015)
    assert found.pooled is pooled


def test_a_mute_group_among_unlike_ones_takes_the_pooled_variance() -> None:
    found = estimate([*UNLIKE, [0.3], [0.4, 0.4, 0.4]])
    squares = sum(np.var(group) * len(group) for group in UNLIKE)
    assert not found.pooled
    assert found.variances[2:] == pytest.approx([squares / 10, squares / 10])
    assert found.dofs.tolist() == [4.0, 4.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "groups", [[[0.5]], [[0.5], [0.6]], [[0.1, 0.1, 0.1], [0.2, 0.2]], [[0.7, 0.7]]]
)
def test_without_any_spread_nothing_is_known(groups: list[list[float]]) -> None:
    found = estimate(groups)
    assert not found.known
    assert found.p_equal is None
    assert np.isnan(half_widths(found, 0.05)).all()


def test_one_seed_borrows_the_spread_of_the_others() -> None:
    found = estimate([[0.5, 0.6], [0.7]])
    assert found.known
    assert half_widths(found, 0.05)[1] == pytest.approx(12.7062 * 0.1 / 2**0.5, rel=1e-5)


values = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6)


@given(st.lists(values, min_size=2, max_size=5))
@settings(max_examples=40, deadline=None)
def test_breusch_pagan_by_statsmodels(groups: list[list[float]]) -> None:
    residuals = np.concatenate([np.array(group) - np.mean(group) for group in groups])
    if np.abs(residuals).max() < 1e-9:
        return
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    design = np.eye(len(groups))[labels]
    design[:, 0] = 1  # the constant that statsmodels asks for
    expected, *_ = het_breuschpagan(residuals, design, robust=False)
    sums = np.array([np.var(group) * len(group) for group in groups])
    found = breusch_pagan(sums, np.array([len(group) for group in groups], dtype=float))
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_p_value_of_many_values_is_the_usual_one() -> None:
    rng = np.random.default_rng(3)
    groups = [rng.normal(0, spread, 300) for spread in (1.0, 1.05, 1.1)]
    sums = np.array([np.var(group) * len(group) for group in groups])
    sizes = np.full(3, 300.0)
    usual = stats.chi2.sf(float(breusch_pagan(sums, sizes)), df=2)
    assert equal_spread_p(sums, sizes) == pytest.approx(usual, abs=0.02)


@pytest.mark.parametrize(("num_groups", "size"), [(2, 2), (5, 3), (20, 2)])
def test_equal_spreads_are_called_unequal_as_often_as_the_level_says(
    num_groups: int, size: int
) -> None:
    rng = np.random.default_rng(7)
    sums = rng.chisquare(size - 1, (4000, num_groups))
    sizes = np.full(num_groups, float(size))
    p_values = np.array([equal_spread_p(row, sizes) for row in sums])
    called = int(np.sum(p_values < POOLING_LEVEL))
    assert stats.binomtest(called, 4000, POOLING_LEVEL).pvalue > 1e-4


def test_no_half_the_null_distribution_of_two_groups_is_an_f_test() -> None:
    """Of two groups of equal size the statistic orders samples as the two-sided F test does."""
    sums, sizes = np.array([1.0, 6.0]), np.array([5.0, 5.0])
    expected = 2 * stats.f.sf(6.0, 4, 4)
    assert equal_spread_p(sums, sizes) == pytest.approx(expected, abs=0.015)


@given(values, st.sampled_from([0.01, 0.05, 0.1]))
@settings(max_examples=30, deadline=None)
def test_the_interval_of_one_group_by_scipy(group: list[float], alpha: float) -> None:
    if min(group) == max(group):
        return
    interval = stats.ttest_1samp(group, 0.0).confidence_interval(1 - alpha)
    [found] = half_widths(estimate([group]), alpha)
    assert found == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)


def test_the_pooled_interval_by_hand() -> None:
    found = half_widths(estimate(ALIKE), 0.05)
    variance = (0.0008 + 0.0018 + 0.0014) / 6  # sums of squares 0.0008, 0.0018, 0.0014
    assert found == pytest.approx([2.446912 * (variance / 3) ** 0.5] * 3, rel=1e-5)  # t(.975, 6)


def test_intervals_with_own_spreads_cover_also_that_of_a_wide_one() -> None:
    """Pooled unless spreads differ visibly, that of the wide one covers too rarely."""
    wide = np.array([3.0] + [1.0] * 8)
    pretest, _, own, others = interval_coverage(wide, num_seeds=3, num_sweeps=400)
    assert pretest < 0.9
    assert stats.binomtest(round(400 * own), 400, 0.95).pvalue > 1e-4
    assert stats.binomtest(round(3200 * others), 3200, 0.95).pvalue > 1e-4


def test_an_interval_ends_where_its_quantity_does() -> None:
    found = own_spreads([[0.2, 0.9, 0.1], [0.99, 1.0, 0.98], [0.5, 0.51, 0.52]])
    low, high = intervals(found, 0.05, (0.0, 1.0))
    widths = half_widths(found, 0.05)
    assert (low[0], high[0]) == (0.0, 1.0)  # 0.4 +- 1.08
    assert (low[1], high[1]) == (pytest.approx(0.99 - widths[1]), 1.0)
    assert (low[2], high[2]) == pytest.approx((0.51 - widths[2], 0.51 + widths[2]))
    endless = intervals(found, 0.05, (0.0, np.inf))
    assert endless[1] == pytest.approx(found.means + widths)
