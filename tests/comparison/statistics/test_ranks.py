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


def test_the_f_form_of_friedmans_test() -> None:
    ranks = average_ranks(-SOME_RANKS)
    num_lines, num_ranked = ranks.shape
    chi_squared = stats.friedmanchisquare(*(-SOME_RANKS).T)[0]
    ratio = (num_lines - 1) * chi_squared / (num_lines * (num_ranked - 1) - chi_squared)
    expected = stats.f.sf(ratio, num_ranked - 1, (num_ranked - 1) * (num_lines - 1))
    assert p_equal_ranks(ranks) == pytest.approx(expected)


def test_full_agreement_and_none() -> None:
    same = np.tile([1.0, 2.0, 3.0], (4, 1))
    assert concordance(same) == 1.0
    assert p_equal_ranks(same) == pytest.approx(6 / 6**4)  # of all ways to draw four orders
    assert concordance(np.array([[1.0, 2.0], [2.0, 1.0]])) == 0.0
    assert np.isnan(concordance(np.array([[1.0, 2.0]])))


@pytest.mark.parametrize(("num_lines", "num_ranked"), [(3, 2), (5, 2), (3, 3)])
def test_no_p_value_is_below_that_of_full_agreement(num_lines: int, num_ranked: int) -> None:
    orders = list(permutations(range(1, num_ranked + 1)))
    every = [np.array(drawn, dtype=float) for drawn in product(orders, repeat=num_lines)]
    least = np.mean([concordance(ranks) >= 1 for ranks in every])
    assert min(map(p_equal_ranks, every)) == pytest.approx(least)


def test_correlation_of_every_two_lines() -> None:
    ranks = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 3.0, 2.0]])
    found = rank_correlations(ranks)
    # Of three pairs: all turned round, or one of them.
    assert found == pytest.approx(np.array([[1, -1, 1 / 3], [-1, 1, -1 / 3], [1 / 3, -1 / 3, 1]]))


# Demsar 2006: q of table 5 (a), and the worked example after equation (5).
@pytest.mark.parametrize(("num_ranked", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_table(num_ranked: int, q: float) -> None:
    expected = q * np.sqrt(num_ranked * (num_ranked + 1) / (6 * 14))
    assert critical_difference(num_ranked, 14, 0.05) == pytest.approx(expected, rel=5e-4)


def test_the_worked_example() -> None:
    assert critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=0.005)
