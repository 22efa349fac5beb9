"""The two-way analysis, against statsmodels and sums worked by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats
from statsmodels.stats.anova import anova_lm

from cifar_exp.comparison.statistics.anova import Source, analysis_of_variance, noncentrality_bound
from cifar_exp.comparison.statistics.estimate import own_spreads
from cifar_exp.comparison.statistics.welch_james import NUM_DRAWS, p_values
from tests.comparison.statistics.calibration import bound_coverage, effect_rate

TERMS = {
    "loss": "C(loss)",
    "optimizer": "C(optimizer)",
    "loss:optimizer": "C(loss):C(optimizer)",
    "study": "C(seed)",
    "residual": "Residual",
}


def design(num_losses: int, num_optimizers: int, num_seeds: int) -> pd.DataFrame:
    cells = itertools.product(range(num_losses), range(num_optimizers), range(num_seeds))
    table = pd.DataFrame(list(cells), columns=["loss", "optimizer", "seed"])
    noise = np.random.default_rng(0).normal(0, 1, len(table))
    table["y"] = table.loss + 0.5 * table.loss * table.optimizer + 0.3 * table.seed + noise
    return table


def analysed(
    table: pd.DataFrame, *, tuned_once: bool = False, equal_spreads: bool = True
) -> dict[str, Source]:
    found = analysis_of_variance(
        list(table.y),
        {name: [str(v) for v in table[name]] for name in ("loss", "optimizer")},
        [int(v) for v in table.seed],
        tuned_once=tuned_once,
        equal_spreads=equal_spreads,
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
    assert list(found) == ["loss", "study", "residual"]


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


# Combinations that were tuned once.


def test_by_statsmodels_on_the_means_of_combinations_that_were_tuned_once() -> None:
    """Without replicates, the interaction is the error of the two factors."""
    table = design(3, 4, 3)
    means = table.groupby(["loss", "optimizer"], as_index=False).y.mean()
    expected = anova_lm(smf.ols("y ~ C(loss) + C(optimizer)", means).fit())
    found = analysed(table, tuned_once=True)
    for name in ("loss", "optimizer"):
        assert found[name].f == pytest.approx(expected.F[TERMS[name]])
        assert found[name].p == pytest.approx(expected["PR(>F)"][TERMS[name]])
        assert found[name].error == "loss:optimizer"
    assert (found["loss:optimizer"].p, found["loss:optimizer"].with_luck) == (None, True)
    again = analysed(table)
    assert found["seed"].p == again["study"].p
    assert found["seed"].error == "residual"
    assert found["loss:optimizer"].omega_squared == again["loss:optimizer"].omega_squared


def test_the_only_factor_cannot_be_told_from_the_luck_of_tuning() -> None:
    found = analysed(design(3, 1, 3), tuned_once=True)
    assert (found["loss"].p, found["loss"].with_luck) == (None, True)


def test_effects_without_any_interaction_are_not_tested_against_it() -> None:
    table = design(2, 2, 3)
    noise = np.tile([0.1, 0.0, -0.1, -0.1, 0.0, 0.1], 2)  # no interaction, no effect on means
    table["y"] = table.loss + noise
    found = analysed(table, tuned_once=True)
    assert found["loss"].p is None


@pytest.mark.parametrize("tuning", [0.0, 3.0])
def test_the_luck_of_tuning_is_not_called_an_effect(tuning: float) -> None:
    level = effect_rate(tuning, 120, studies=False, against=True)
    assert stats.binomtest(round(120 * level), 120, 0.05).pvalue > 1e-4


def test_against_the_residual_it_would_be() -> None:
    assert effect_rate(1.0, 60, studies=False, against=False) > 0.3


def test_repeated_tunings_are_tested_against_the_residual() -> None:
    level = effect_rate(1.0, 120, studies=True, against=True)
    assert stats.binomtest(round(120 * level), 120, 0.05).pvalue > 1e-4


# The bound of a share.


@pytest.mark.parametrize(("f", "dof", "error_dof"), [(0.4, 2, 4), (1.0, 3, 9), (7.0, 2, 30)])
def test_the_bound_of_the_noncentrality_by_its_definition(
    f: float, dof: int, error_dof: int
) -> None:
    bound = noncentrality_bound(f, dof, error_dof, 0.05)
    assert stats.ncf.cdf(f, dof, error_dof, bound) == pytest.approx(0.05)


def test_an_effect_that_is_smaller_than_its_noise_has_no_noncentrality() -> None:
    assert noncentrality_bound(1e-6, 2, 4, 0.05) == 0.0


def test_the_bound_of_a_share_by_hand() -> None:
    found = analysed(design(3, 4, 3))
    loss, error = found["loss"], found["residual"].mean_square
    total = sum(source.sum_of_squares for source in found.values())
    largest = noncentrality_bound(loss.f or 0.0, 2, found["residual"].dof, 0.05)
    squares = (2 + largest) * error  # the expected sum of squares
    expected = (squares - 2 * error) / (total - loss.sum_of_squares + squares + error)
    assert loss.at_most == pytest.approx(expected)
    assert (loss.at_most or 0.0) > (loss.omega_squared or 0.0)


def test_a_share_is_below_its_bound() -> None:
    held = bound_coverage(effect=1.0, tuning=1.0, num_sweeps=100)
    assert stats.binomtest(round(100 * held), 100, 0.93, alternative="less").pvalue > 1e-4


# Unequal spreads.


def test_unequal_spreads_have_no_f_test() -> None:
    once = analysed(design(3, 3, 3), tuned_once=True, equal_spreads=False)
    assert [source.p for source in once.values()] == [None] * 5
    repeated = analysed(design(3, 3, 3), equal_spreads=False)
    assert [source.f for source in repeated.values()] == [None] * 5
    assert repeated["loss"].p is not None
    assert repeated["loss"].at_most is None


def test_a_missing_combination_leaves_unequal_spreads_without_a_test() -> None:
    table = design(3, 3, 3)
    assert analysed(table[table.index > 2], equal_spreads=False)["loss"].p is None


def test_two_groups_with_own_spreads_by_welch() -> None:
    """With two levels, the statistic is the square of Welch's t."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.0, 1.0, 30), rng.normal(0.5, 4.0, 30)
    expected = stats.ttest_ind(first, second, equal_var=False).pvalue
    found, *others = p_values(own_spreads([list(first), list(second)]), [2, 1])
    assert found == pytest.approx(expected, abs=4 * 0.5 / NUM_DRAWS**0.5)
    assert others == [None, None]


def test_many_values_give_the_approximation_by_chi_squared() -> None:
    rng = np.random.default_rng(4)
    spreads = np.repeat([1.0, 2.0, 5.0], 2)
    cells = [list(rng.normal(0.1 * k, spread, 400)) for k, spread in enumerate(spreads)]
    found = p_values(own_spreads(cells), [3, 2])
    means = np.array([np.mean(cell) for cell in cells]).reshape(3, 2)
    squares = (spreads**2 / 400).reshape(3, 2)
    halves, widths = means.mean(axis=1), squares.sum(axis=1) / 4
    average = np.average(halves, weights=1 / widths)
    expected = stats.chi2.sf(np.sum((halves - average) ** 2 / widths), 2)
    assert found[0] == pytest.approx(expected, abs=0.06)


def test_unequal_spreads_of_repeated_tunings_keep_the_level() -> None:
    spreads = np.array([6.0] + [1.0] * 8)
    level = effect_rate(0.0, 60, studies=True, against=True, spreads=spreads)
    assert stats.binomtest(round(60 * level), 60, 0.05).pvalue > 1e-4


def test_effects_far_above_the_error_are_tested() -> None:
    """Their noncentral distributions are beyond what scipy can compute."""
    cells = [(str(x), str(y)) for x in range(3) for y in range(3) for _ in range(5)]
    values = [
        0.1 * int(x) + 0.2 * int(y) + 1e-7 * ((7 * n + 3 * int(x)) % 5)
        for n, (x, y) in enumerate(cells)
    ]
    losses, optimizers = zip(*cells, strict=True)
    sources = analysis_of_variance(
        values, {"loss": losses, "optimizer": optimizers}, list(range(5)) * 9,
        tuned_once=False, equal_spreads=True, alpha=0.05,
    )  # fmt: skip
    found = {source.source: source for source in sources}
    for name in ("loss", "optimizer"):
        assert (found[name].f or 0.0) > 1e9
        assert found[name].at_most is None
