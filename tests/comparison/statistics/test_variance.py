"""The two-way analysis, against statsmodels and sums worked by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from cifar_exp.comparison.statistics.anova import Source, two_way

TERMS = {
    "loss": "C(loss)",
    "optimizer": "C(optimizer)",
    "loss:optimizer": "C(loss):C(optimizer)",
    "seed": "C(seed)",
    "residual": "Residual",
}


def design(num_losses: int, num_optimizers: int, num_seeds: int) -> pd.DataFrame:
    cells = itertools.product(range(num_losses), range(num_optimizers), range(num_seeds))
    table = pd.DataFrame(list(cells), columns=["loss", "optimizer", "seed"])
    noise = np.random.default_rng(0).normal(0, 1, len(table))
    table["y"] = table.loss + 0.5 * table.loss * table.optimizer + 0.3 * table.seed + noise
    return table


def analysed(table: pd.DataFrame) -> dict[str, Source]:
    found = two_way(
        list(table.y),
        [str(v) for v in table.loss],
        [str(v) for v in table.optimizer],
        [int(v) for v in table.seed],
    )
    return {source.source: source for source in found}


@pytest.mark.parametrize("dropped", [[], [3], [0, 7, 20]])
def test_by_statsmodels(dropped: list[int]) -> None:
    table = design(3, 4, 3).drop(index=dropped)
    model = smf.ols("y ~ C(loss) * C(optimizer) + C(seed)", table).fit()
    expected = anova_lm(model, typ=2)
    found = analysed(table)
    assert list(found) == list(TERMS)
    for name, term in TERMS.items():
        assert found[name].sum_of_squares == pytest.approx(expected.sum_sq[term])
        assert found[name].dof == expected.df[term]
    for name in list(TERMS)[:-1]:
        assert found[name].f == pytest.approx(expected.F[TERMS[name]])
        assert found[name].p == pytest.approx(expected["PR(>F)"][TERMS[name]])


def test_omega_squared_by_hand() -> None:
    # Losses 0 and 2, optimizers and seeds without effect, errors of +-1 that cancel everywhere.
    table = pd.DataFrame(
        [(a, b, s, 2 * a + (-1) ** (a + b + s)) for a in (0, 1) for b in (0, 1) for s in (0, 1)],
        columns=["loss", "optimizer", "seed", "y"],
    )
    found = analysed(table)
    # SS_loss = 8 x 1, SS_error = 8 over 8 - 1 - 3 - 1 = 3, SS_total = 16
    assert found["loss"].sum_of_squares == pytest.approx(8)
    assert found["residual"].mean_square == pytest.approx(8 / 3)
    assert found["loss"].omega_squared == pytest.approx((8 - 8 / 3) / (16 + 8 / 3))
    assert found["optimizer"].omega_squared == 0.0


def test_a_factor_of_one_level_has_no_row() -> None:
    found = analysed(design(3, 1, 3))
    assert list(found) == ["loss", "seed", "residual"]


@pytest.mark.parametrize("shape", [(2, 2, 1), (1, 1, 4)])
def test_nothing_is_left_for_the_error(shape: tuple[int, int, int]) -> None:
    assert analysed(design(*shape)) == {}


def test_equal_values_have_no_variance_to_split() -> None:
    table = design(2, 2, 3)
    table["y"] = 0.5
    assert analysed(table) == {}


def test_effects_without_any_error_are_not_split() -> None:
    table = design(2, 2, 3)
    table["y"] = table.loss + 0.1 * table.seed
    assert analysed(table) == {}
