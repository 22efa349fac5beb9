"""P(best) and rank intervals, against closed forms and made-up sweeps."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cifar_exp.comparison.statistics.estimate import estimate
from cifar_exp.comparison.statistics.pairs import LOST, common_seeds, win_shares
from cifar_exp.comparison.statistics.prior import shrunk_means
from cifar_exp.comparison.statistics.resampling import (
    NUM_DRAWS,
    best_shares,
    draw_means,
    equivalent_shares,
    rank_intervals,
)
from tests.comparison.statistics.calibration import best_calibration
from tests.comparison.statistics.simulation import rank_coverage

LEVEL = 0.9
NOISE = 4 * 0.5 / NUM_DRAWS**0.5  # four standard errors of a share of the draws


def test_p_best_of_two_is_a_t_probability() -> None:
    groups = [[0.50, 0.52, 0.54], [0.49, 0.51, 0.53]]  # variance 0.0004 each
    expected = stats.t.cdf(0.01 / (0.0004 * 2 / 3) ** 0.5, df=4)
    shares = best_shares(draw_means(estimate(groups)))
    assert shares == pytest.approx([expected, 1 - expected], abs=NOISE)


def test_drawn_means_have_the_width_of_their_t_distribution() -> None:
    found = estimate([[0.50, 0.52, 0.54], [0.1, 0.2, 0.9]])
    draws = draw_means(found)
    assert not found.pooled
    for column, mean, deviation in zip(draws.T, found.means, (0.02, 0.19**0.5), strict=True):
        expected = stats.t(df=2, loc=mean, scale=deviation / 3**0.5)
        assert stats.kstest(column, expected.cdf).pvalue > 1e-4


def test_pooled_draws_share_the_variance() -> None:
    found = estimate([[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    centred = np.abs(draw_means(found) - found.means)
    rank_correlation, _ = stats.spearmanr(centred[:, 0], centred[:, 1])
    assert rank_correlation > 0.1


def test_the_same_values_give_the_same_draws() -> None:
    groups = [[0.5, 0.6], [0.4, 0.45]]
    assert np.array_equal(draw_means(estimate(groups)), draw_means(estimate(groups)))


def test_equals_share_a_draw() -> None:
    assert best_shares(np.array([[1.0, 1.0, 0.0], [2.0, 3.0, 1.0]])).tolist() == [0.25, 0.75, 0.0]


def test_practical_equivalence_is_a_t_probability() -> None:
    groups = [[0.50, 0.52, 0.54], [0.49, 0.51, 0.53]]
    scale = (0.0004 * 2 / 3) ** 0.5
    expected = stats.t.cdf(0.01 / scale, df=4) - stats.t.cdf(-0.03 / scale, df=4)
    shares = equivalent_shares(draw_means(estimate(groups)), 0, 0.02)
    assert shares == pytest.approx([1.0, expected], abs=NOISE)


def test_far_apart_ranks_are_certain() -> None:
    groups = [[0.9, 0.901, 0.902], [0.5, 0.501, 0.502], [0.7, 0.701, 0.702]]
    found = estimate(groups)
    low, high = rank_intervals(found, draw_means(found), LEVEL)
    assert low.tolist() == high.tolist() == [1.0, 3.0, 2.0]


def test_one_combination_has_rank_one() -> None:
    found = estimate([[0.5, 0.6]])
    low, high = rank_intervals(found, draw_means(found), LEVEL)
    assert (low.tolist(), high.tolist()) == ([1.0], [1.0])


def test_the_bound_of_a_rank_is_dunnetts() -> None:
    """One combination against all others is Dunnett's comparison with a fixed control."""
    rng = np.random.default_rng(4)
    groups = rng.normal(0, 1, (5, 4))
    found = estimate(groups.tolist())
    noise = draw_means(found) - found.means
    bounds = stats.dunnett(*groups[1:], control=groups[0], rng=rng).confidence_interval(LEVEL)
    margin = float(np.ravel(bounds.high)[0] - np.ravel(bounds.low)[0]) / 2
    for factor, first_rank in ((0.97, 1), (1.03, 5)):
        means = np.array([0.0, *[factor * margin] * 4])
        low, _ = rank_intervals(replace(found, means=means), means + noise, LEVEL)
        assert low[0] == first_rank


@pytest.mark.parametrize("gap", [0.0005, 0.01])
def test_rank_intervals_cover(gap: float) -> None:
    """Also where ties are near, where the ranks of drawn means cover too rarely."""
    rng = np.random.default_rng(8)
    means = np.arange(6) * gap  # the true rank of combination k is 6 - k
    covered = np.zeros(6, dtype=int)
    num_sweeps = 200
    for noise in rng.normal(0, 0.01, (num_sweeps, 6, 4)):
        found = estimate((means[:, None] + noise).tolist())
        low, high = rank_intervals(found, draw_means(found), LEVEL)
        covered += (low <= 6 - np.arange(6)) & (6 - np.arange(6) <= high)
    for count in covered:
        assert stats.binomtest(int(count), num_sweeps, LEVEL, alternative="less").pvalue > 1e-4


def test_ranks_of_drawn_means_would_not_cover() -> None:
    """The reason for the bounds: near ties, drawn ranks follow the noise of the observed order."""
    confident, drawn = rank_coverage(gap=0.01, num_sweeps=40)
    assert confident > LEVEL
    assert drawn < 0.8


def test_sixty_combinations_take_well_under_a_second() -> None:
    found = estimate(np.random.default_rng(0).normal(size=(60, 5)).tolist())
    started = time.process_time()
    draws = draw_means(found)
    best_shares(draws)
    rank_intervals(found, draws, LEVEL)
    assert time.process_time() - started < 1


# The estimated prior.


def test_means_that_lie_far_apart_are_drawn_as_without_a_prior() -> None:
    found = estimate([[0.9, 0.91, 0.92], [0.1, 0.12, 0.11], [0.5, 0.51, 0.52]])
    shrunk, flat = shrunk_means(found), draw_means(found)
    assert shrunk.mean(axis=0) == pytest.approx(flat.mean(axis=0), abs=0.002)
    assert best_shares(shrunk).tolist() == [1.0, 0.0, 0.0]


def test_equal_means_are_equally_likely_the_best() -> None:
    found = estimate([[0.5, 0.6, 0.7], [0.7, 0.6, 0.5], [0.6, 0.7, 0.5]])
    assert best_shares(shrunk_means(found)) == pytest.approx([1 / 3] * 3, abs=NOISE)


def test_the_posterior_of_two_means_is_that_of_the_formula() -> None:
    """Before the first step, the prior is the mean of the posteriors under a flat prior."""
    first, second, error = 0.0, 1.0, 0.8
    found = replace(
        estimate([[-1.0, 1.0], [0.0, 2.0]]),
        means=np.array([first, second]),
        variances=np.full(2, 2 * error**2),
        dofs=np.full(2, 1e6),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cifar_exp.comparison.statistics.prior.STEPS", 0)
        drawn = shrunk_means(found)[:, 1]
    grid = np.linspace(-5, 6, 4001)
    flat = stats.norm.pdf(grid, first, error) + stats.norm.pdf(grid, second, error)
    weights = flat * stats.norm.pdf(grid, second, error)
    assert drawn.mean() == pytest.approx(np.average(grid, weights=weights), abs=0.03)


def test_p_best_is_calibrated_near_ties() -> None:
    """Without the prior, the first of nine similar combinations is said to be the best in half."""
    said, true, flat = best_calibration("similar", num_sweeps=40)
    assert flat > true + 0.1
    assert said < flat - 0.1
    assert said < true + 4 * 0.5 / 40**0.5


# Pairs on common seeds.


def test_win_shares_by_hand() -> None:
    values = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 2.0], [0.0, np.nan, np.nan]])
    found = win_shares(values)
    assert found[0].tolist() == [0.5, 0.5, 1.0]
    assert found[1].tolist() == [0.5, 0.5, 1.0]
    assert found[2].tolist() == [0.0, 0.0, 0.5]


def test_a_lost_seed_is_lost() -> None:
    values = np.array([[3.0, 3.0, 3.0, LOST, LOST], [1.0, 1.0, 1.0, 1.0, LOST]])
    assert win_shares(values)[0, 1] == pytest.approx((3 + 0.5) / 5)
    assert common_seeds(values).tolist() == [[5, 5], [5, 5]]


def test_common_seeds_by_hand() -> None:
    values = np.array([[1.0, np.nan, LOST], [1.0, 2.0, np.nan]])
    assert common_seeds(values).tolist() == [[2, 1], [1, 2]]


def test_without_a_common_seed_there_is_no_share() -> None:
    found = win_shares(np.array([[1.0, np.nan], [np.nan, 1.0]]))
    assert np.isnan(found[0, 1])
    assert np.isnan(found[1, 0])


def test_independent_seeds_would_give_the_mann_whitney_share() -> None:
    first, second = np.array([0.3, 0.5, 0.9]), np.array([0.2, 0.5, 0.6])
    every_pair = np.array([np.repeat(first, 3), np.tile(second, 3)])
    expected = stats.mannwhitneyu(first, second).statistic / 9
    assert win_shares(every_pair)[0, 1] == pytest.approx(expected)
