from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from cifar_exp.comparison.statistics.ranks import (
    average_ranks,
    concordance,
    critical_difference,
    p_equal_ranks,
    rank_correlations,
)

SOME_RANKS = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 4, 3],
        [4, 1, 3, 2],
        [4, 3, 2, 1],
        [4, 1, 3, 2],
        [4, 3, 1, 2],
        [4, 2, 1, 3],
        [3, 4, 1, 2],
        [3, 4, 2, 1],
    ],
    dtype=float,
)
scores = st.tuples(st.integers(2, 6), st.integers(3, 6)).flatmap(
    lambda shape: arrays.arrays(float, shape, elements=st.integers(0, 4).map(float))
)


def test_the_highest_score_is_first_and_ties_share() -> None:
    assert average_ranks(np.array([[0.5, 0.9, 0.5, 0.1]])).tolist() == [[2.5, 1.0, 2.5, 4.0]]


@given(scores)
def test_agreement_is_friedmans_statistic(values: np.ndarray) -> None:
    ranks = average_ranks(values)
    num_lines, num_ranked = ranks.shape
    with np.errstate(all="ignore"):
        expected = stats.friedmanchisquare(*values.T)[0] / (num_lines * (num_ranked - 1))
    assert concordance(ranks) == pytest.approx(expected, nan_ok=True)


def test_many_lines_give_the_approximation_by_chi_squared() -> None:
    scores_of_lines = np.random.default_rng(0).normal(0.15 * np.arange(4), 1.0, (60, 4))
    expected = stats.friedmanchisquare(*scores_of_lines.T).pvalue
    assert 0.02 < expected < 0.5
    assert p_equal_ranks(average_ranks(scores_of_lines)) == pytest.approx(expected, abs=0.02)


def test_two_of_five_by_the_binomial_distribution() -> None:
    """Where the F approximation says .208."""
    ranks = np.array([[1.0, 2.0]] * 4 + [[2.0, 1.0]])
    assert p_equal_ranks(ranks) == pytest.approx(stats.binomtest(1, 5).pvalue)
    assert p_equal_ranks(ranks) == pytest.approx(12 / 32)


def test_full_agreement_and_none() -> None:
    same = np.tile([1.0, 2.0, 3.0], (4, 1))
    assert concordance(same) == 1.0
    assert p_equal_ranks(same) == pytest.approx(6 / 6**4)  # of all ways to draw four orders
    assert concordance(np.array([[1.0, 2.0], [2.0, 1.0]])) == 0.0
    assert np.isnan(concordance(np.array([[1.0, 2.0]])))


@pytest.mark.parametrize(("num_lines", "num_ranked"), [(3, 2), (5, 2), (3, 3)])
def test_the_p_value_is_uniform_over_all_orders(num_lines: int, num_ranked: int) -> None:
    orders = list(permutations(range(1, num_ranked + 1)))
    every = [np.array(drawn, dtype=float) for drawn in product(orders, repeat=num_lines)]
    found = np.array([p_equal_ranks(ranks) for ranks in every])
    for level in np.unique(found):
        assert np.mean(found <= level + 1e-9) == pytest.approx(level)


def test_the_drawn_orders_give_the_exact_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = average_ranks(-SOME_RANKS[:5, :3])
    exact = p_equal_ranks(ranks)
    monkeypatch.setattr("cifar_exp.comparison.statistics.ranks.MOST_ORDERS", 1000)
    assert p_equal_ranks(ranks) == pytest.approx(exact, abs=4 * 0.5 / 1000**0.5)


def test_correlation_of_every_two_lines() -> None:
    ranks = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    found = rank_correlations(ranks)
    # Of three pairs: all turned round, or one of them.
    assert found == pytest.approx(np.array([[1, -1, 1 / 3], [-1, 1, -1 / 3], [1 / 3, -1 / 3, 1]]))


# Demsar 2006: q of table 5 (a), for many rows.
@pytest.mark.parametrize(("num_ranked", "q"), [(3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_of_many_rows_are_those_of_the_table(
    num_ranked: int, q: float
) -> None:
    ranks = np.tile(np.arange(1.0, num_ranked + 1), (40, 1))
    expected = q * np.sqrt(num_ranked * (num_ranked + 1) / (6 * 40))
    assert critical_difference(ranks, 0.05) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize(("num_lines", "smallest"), [(3, 6), (4, 7), (5, 8), (6, 9)])
def test_critical_differences_of_three_columns_by_the_exact_tables(
    num_lines: int, smallest: int
) -> None:
    """Nemenyi's exact tables: the smallest significant difference of rank sums."""
    ranks = np.tile([1.0, 2.0, 3.0], (num_lines, 1))
    critical = critical_difference(ranks, 0.05) * num_lines
    assert smallest - 1 <= critical + 1e-9 < smallest


@pytest.mark.parametrize(("num_lines", "expected"), [(5, 1.0), (6, 2 / 3)])
def test_a_critical_difference_by_the_binomial_distribution(
    num_lines: int, expected: float
) -> None:
    """That all of five agree has probability 1/16: five cannot show a difference at level .05."""
    ranks = np.tile([1.0, 2.0], (num_lines, 1))
    assert critical_difference(ranks, 0.05) == pytest.approx(expected)
