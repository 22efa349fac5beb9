"""Tests of the effects of crossed factors whose cells have unequal variances."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar_exp.comparison.statistics.estimate import Estimates, Floats

NUM_DRAWS = 2_000
SEED = 1951


Term = tuple[str, ...]
"""The factors of a main effect or an interaction."""


def terms_of(factors: Sequence[str]) -> list[Term]:
    """Return the main effects, then the interactions of two factors, then of more."""
    sizes = range(1, len(factors) + 1)
    return [term for size in sizes for term in combinations(factors, size)]


def p_values(cells: Estimates, levels: Sequence[int]) -> list[float | None]:
    """Return the p-value of no effect, for each factor and each interaction.

    The effects are contrasts C of the cell means m, and the statistic is that of Welch and James,
    (C m)' (C Q C')^-1 (C m), where Q has the squared standard errors of the means. Its distribution
    without an effect is simulated, with each cell's own variance and its error (a parametric
    bootstrap), as the usual approximations need more values per cell. Sources: Johansen, The
    Welch-James approximation, 1980; Xu, Yang, Abula and Qin, A parametric bootstrap approach for
    two-way ANOVA in presence of possible interactions with unequal variances, 2013.

    Args:
        cells: Means and own variances; the levels of the last factor change fastest.
        levels: The number of levels of each factor.

    Returns:
        In the order of `terms_of`; None for an effect of a factor with one level, or if the
        variances are unknown.
    """
    numbered = {str(number): size for number, size in enumerate(levels)}
    return [
        _p_value(
            cells,
            reduce(
                np.kron,
                [(_contrasts if key in term else _mean)(size) for key, size in numbered.items()],
            ),
        )
        for term in terms_of(list(numbered))
    ]


def _p_value(cells: Estimates, effect: NDArray[Any]) -> float | None:
    if not len(effect) or not cells.known:
        return None
    rng = np.random.default_rng(SEED)
    shape = (NUM_DRAWS, len(cells.means))
    squares = cells.variances / cells.sizes
    means = rng.standard_normal(shape) * np.sqrt(squares)
    estimated = squares * rng.chisquare(cells.dofs, shape) / cells.dofs
    larger = _statistic(effect, means, estimated) >= _statistic(effect, cells.means, squares)
    return float((1 + larger.sum()) / (1 + NUM_DRAWS))


def _statistic(effect: Floats, means: Floats, squares: Floats) -> Floats:
    """Return the Welch-James statistic, for cells along the last axis."""
    values = means @ effect.T
    covariance = (effect * squares[..., None, :]) @ effect.T
    solved = np.linalg.solve(covariance, values[..., None])[..., 0]
    return np.asarray((values * solved).sum(axis=-1))


def _contrasts(num_levels: int) -> Floats:
    """Return the differences of the first level to each other one, (levels - 1) x levels."""
    return np.hstack([np.ones((num_levels - 1, 1)), -np.eye(num_levels - 1)])


def _mean(num_levels: int) -> Floats:
    return np.full((1, num_levels), 1 / num_levels)
