"""Comparison with the best, against scipy, statsmodels and thousands of made-up sweeps."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from cifar_exp.comparison.statistics.estimate import Estimates, estimate
from cifar_exp.comparison.statistics.multiple_comparison import (
    differences_to_best,
    holm,
    welch_dofs,
    worse_than_best,
)
from cifar_exp.comparison.statistics.power import (
    detectable_shift,
    minimum_detectable_difference,
    replicates_to_tell,
)
from tests.comparison.statistics.simulation import NOISE, claims

ALPHA = 0.05
ALIKE = [[0.70, 0.72, 0.74], [0.60, 0.63, 0.66], [0.50, 0.51, 0.55, 0.52], [0.69, 0.71]]
UNLIKE = [[0.7, 0.7002, 0.6998, 0.7, 0.7001], [0.6, 0.7, 0.5, 0.64, 0.52], [0.3, 0.301, 0.3, 0.302]]


def test_pooled_comparisons_by_scipy() -> None:
    found = estimate(ALIKE)
    assert found.pooled
    reference = stats.tukey_hsd(*ALIKE)
    bounds = reference.confidence_interval(1 - ALPHA)
    differences = differences_to_best(found, 0, ALPHA)
    assert differences.values[1:] == pytest.approx(reference.statistic[0, 1:])
    assert differences.p_adjusted[1:] == pytest.approx(reference.pvalue[0, 1:], abs=1e-9)
    assert differences.low[1:] == pytest.approx(np.asarray(bounds.low)[0, 1:], rel=1e-6)
    assert differences.high[1:] == pytest.approx(np.asarray(bounds.high)[0, 1:], rel=1e-6)
    assert differences.worse.tolist() == [False, *(reference.pvalue[0, 1:] < ALPHA)]


def test_comparisons_with_own_spreads_by_scipy_and_statsmodels() -> None:
    found = estimate(UNLIKE)
    assert not found.pooled
    pairs = [(0, 1), (0, 2), (1, 2)]
    tests = [stats.ttest_ind(UNLIKE[a], UNLIKE[b], equal_var=False) for a, b in pairs]
    _, adjusted, *_ = multipletests([test.pvalue for test in tests], method="holm")
    differences = differences_to_best(found, 0, ALPHA)
    assert differences.p_adjusted[1:] == pytest.approx(np.minimum(1, 2 * adjusted[:2]), rel=1e-9)
    bounds = tests[0].confidence_interval(1 - ALPHA / 2 / 3)
    assert differences.low[1] == pytest.approx(bounds.low, rel=1e-9)
    assert differences.high[1] == pytest.approx(bounds.high, rel=1e-9)
    assert welch_dofs(found)[0, 1] == pytest.approx(tests[0].df)


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_holm_by_statsmodels(p_values: list[float]) -> None:
    _, expected, *_ = multipletests(p_values, method="holm")
    assert holm(np.array(p_values)) == pytest.approx(expected)


def test_two_equally_large_groups_are_a_t_test() -> None:
    first, second = [0.5, 0.52, 0.56], [0.45, 0.47, 0.48]
    found = differences_to_best(estimate([first, second]), 0, ALPHA)
    assert found.p_adjusted[1] == pytest.approx(stats.ttest_ind(first, second).pvalue, rel=1e-6)


@given(
    st.lists(
        st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_values_the_parts_agree(groups: list[list[float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = estimate(groups)
        best = int(np.argmax(found.means))
        differences = differences_to_best(found, best, ALPHA)
    assert not differences.worse[best]
    assert differences.low[best] == differences.high[best] == 0
    others = np.arange(len(groups)) != best
    if found.known:
        assert np.all((differences.p_adjusted[others] >= 0) & (differences.p_adjusted[others] <= 1))
        assert np.all(differences.low <= differences.high)
    else:
        assert not differences.worse.any()
        assert np.isnan(differences.p_adjusted).all()
    if found.pooled and found.known:
        assert np.array_equal(differences.worse[others], differences.low[others] > 0)


# Not fooled: all combinations alike, a "better" is a false one.


@pytest.mark.parametrize(
    ("num_combinations", "num_seeds"),
    [(2, 2), (3, 3), (9, 3), (9, 5), pytest.param(60, 2, marks=pytest.mark.chaos)],
)
def test_equal_combinations_are_told_apart_in_at_most_alpha_of_sweeps(
    num_combinations: int, num_seeds: int
) -> None:
    false = claims(
        [0.7] * num_combinations, [0.01] * num_combinations, num_seeds=num_seeds, num_sweeps=4000
    )
    assert stats.binomtest(false, 4000, ALPHA, alternative="greater").pvalue > 1e-4


@pytest.mark.parametrize("noise", [name for name in NOISE if name != "normal"])
def test_other_noise_than_normal_makes_claims_rarer(noise: str) -> None:
    false = claims([0.0] * 5, [1.0] * 5, num_seeds=3, num_sweeps=2000, noise=noise)
    assert stats.binomtest(false, 2000, ALPHA, alternative="greater").pvalue > 1e-4


def test_the_level_is_used_up() -> None:
    """A procedure that never claims anything would pass every test of its errors."""
    false = claims([0.7] * 9, [0.01] * 9, num_seeds=5, num_sweeps=4000)
    assert stats.binomtest(false, 4000, 0.04, alternative="less").pvalue > 1e-4


def test_a_plain_comparison_with_the_observed_best_would_be_fooled() -> None:
    """The reason for the level of all pairs: Dunnett's bound is passed far too often."""
    rng = np.random.default_rng(1)
    sweeps = rng.standard_normal((4000, 9, 5))
    means, variances = sweeps.mean(axis=2), sweeps.var(axis=2, ddof=1).mean(axis=1)
    controls = rng.standard_normal((4000, 9, 5)).mean(axis=2)
    farthest = np.abs(controls[:, 1:] - controls[:, :1]).max(axis=1)
    scale = np.sqrt(rng.chisquare(36, 4000) / 36)
    dunnett = np.quantile(farthest / scale, 1 - ALPHA)  # of a control that was fixed beforehand
    claimed = int(np.sum(np.ptp(means, axis=1) / np.sqrt(variances) > dunnett))
    assert stats.binomtest(claimed, 4000, 2 * ALPHA, alternative="greater").pvalue < 1e-4


def test_seeds_that_help_all_alike_make_claims_rarer() -> None:
    """Common random numbers are not used: independence is the cautious assumption."""
    shared = claims([0.7] * 5, [0.01] * 5, num_seeds=3, num_sweeps=3000, seed_effect=0.01)
    assert stats.binomtest(shared, 3000, ALPHA, alternative="greater").pvalue > 1e-4


@pytest.mark.parametrize(
    ("spreads", "num_seeds", "bound"),
    [([3.0, *[1.0] * 8], 5, 0.09), ([6.0, *[1.0] * 8], 5, 0.05), ([2.0] * 4 + [1.0] * 5, 5, 0.07)],
)
def test_unequal_spreads_do_not_get_out_of_hand(
    spreads: list[float], num_seeds: int, bound: float
) -> None:
    """Pooled alone, these go wrong in 10 to 20 of 100 sweeps; docs/method.md has the table."""
    false = claims([0.0] * 9, spreads, num_seeds=num_seeds, num_sweeps=3000)
    assert stats.binomtest(false, 3000, bound, alternative="greater").pvalue > 1e-4


# Power.


@pytest.mark.parametrize(("spread", "num_seeds"), [(0.006, 5), (0.005, 3), (0.008, 10)])
def test_a_gap_of_one_point_is_found_as_often_as_the_formula_says(
    spread: float, num_seeds: int
) -> None:
    """Two combinations a point apart, with the known spread of seven others far below them."""
    num_combinations, num_sweeps = 9, 3000
    rng = np.random.default_rng(2)
    below = np.linspace(0.3, 0.4, num_combinations - 2)
    means = np.concatenate([[0.71, 0.70], below])
    values = means[:, None] + spread * rng.standard_normal(
        (num_sweeps, num_combinations, num_seeds)
    )
    estimates = [estimate(sweep.tolist()) for sweep in values]
    pooled = [e for e in estimates if e.pooled]
    found = sum(bool(worse_than_best(e, int(np.argmax(e.means)), ALPHA)[:2].any()) for e in pooled)
    dof = num_combinations * (num_seeds - 1)
    bound = stats.studentized_range.ppf(1 - ALPHA, num_combinations, dof) / np.sqrt(2)
    expected = stats.nct.sf(bound, dof, 0.01 / spread / np.sqrt(2 / num_seeds))
    assert stats.binomtest(found, len(pooled), expected).pvalue > 1e-4


@pytest.mark.parametrize(
    ("difference", "alpha"), [(1.0, 0.05), (0.8, 0.05), (0.2, 0.025), (3.0, 0.01)]
)
def test_replicates_to_tell_two_apart_by_statsmodels(difference: float, alpha: float) -> None:
    """With equal variances, Welch's test has the degrees of freedom of Student's."""
    expected = TTestIndPower().solve_power(difference, alpha=alpha, power=0.8, alternative="larger")
    found = replicates_to_tell(difference / 2, (0.25, 0.25), alpha)
    assert found == max(2, math.ceil(float(np.squeeze(expected))))


def test_too_many_replicates_are_not_looked_for() -> None:
    assert replicates_to_tell(0.05, (1.0, 1.0), 0.05) is None
    assert replicates_to_tell(0.0, (1.0, 1.0), 0.05) is None
    assert replicates_to_tell(1e9, (1.0, 0.0), 0.05) == 2


@pytest.mark.parametrize("num_seeds", [3, 5, 10])
def test_minimum_detectable_difference_of_two_by_statsmodels(num_seeds: int) -> None:
    expected = TTestIndPower().solve_power(nobs1=num_seeds, alpha=ALPHA, power=0.8)
    found = minimum_detectable_difference(_pooled(2, num_seeds, variance=0.25), ALPHA)
    assert found == pytest.approx(0.5 * expected, rel=1e-3)


def test_minimum_detectable_difference_of_unequal_numbers_of_seeds_by_statsmodels() -> None:
    expected = TTestIndPower().solve_power(nobs1=2, ratio=3, alpha=ALPHA, power=0.8)
    two_and_six = replace(_pooled(2, 4, variance=0.25), sizes=np.array([2.0, 6.0]))
    found = minimum_detectable_difference(two_and_six, ALPHA)
    assert found == pytest.approx(0.5 * expected, rel=1e-3)


def test_minimum_detectable_difference_with_own_spreads() -> None:
    own = replace(
        _pooled(3, 5, variance=0.0),
        variances=np.array([1.0, 1.0, 6.0]),
        dofs=np.full(3, 4.0),
        pooled=False,
    )
    found = minimum_detectable_difference(own, ALPHA)
    assert found is not None
    dof = 7**2 / (1**2 / 4 + 6**2 / 4)  # of the pairs 1 + 1, 1 + 6 and 1 + 6, the median one
    bound = stats.t.ppf(1 - ALPHA / 2 / 3 / 2, dof)  # half of alpha, three pairs, two sides
    shift = found / (7 / 5) ** 0.5
    assert stats.nct.sf(bound, dof, shift) == pytest.approx(0.8)


def test_one_wide_spread_does_not_hide_what_the_others_can_show() -> None:
    variances = np.array([1.0, 1.0, 1.0, 1.0, 1e6])
    own = replace(
        _pooled(5, 5, variance=0.0), variances=variances, dofs=np.full(5, 4.0), pooled=False
    )
    assert (minimum_detectable_difference(own, ALPHA) or 0.0) < 5.0


def test_minimum_detectable_difference_grows_with_the_number_of_combinations() -> None:
    found = [minimum_detectable_difference(_pooled(k, 5, variance=1.0), ALPHA) for k in (2, 9, 60)]
    assert None not in found
    assert found == sorted(found, key=float)  # type: ignore[arg-type]


def test_a_shift_is_detected_with_the_stated_power() -> None:
    assert stats.nct.sf(3.0, 7, detectable_shift(3.0, 7)) == pytest.approx(0.8)


def test_no_difference_can_be_detected_without_a_spread() -> None:
    assert minimum_detectable_difference(estimate([[0.5], [0.6]]), ALPHA) is None
    assert minimum_detectable_difference(estimate([[0.5, 0.6]]), ALPHA) is None


def _pooled(num_means: int, num_seeds: int, variance: float) -> Estimates:
    return Estimates(
        means=np.zeros(num_means),
        sizes=np.full(num_means, float(num_seeds)),
        variances=np.full(num_means, variance),
        dofs=np.full(num_means, float(num_means * (num_seeds - 1))),
        pooled=True,
        p_equal=None,
    )
