"""The analysis of variance of three factors, by the sums of squares of a balanced design."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from cifar_exp.comparison.statistics.anova import Source, analysis_of_variance
from cifar_exp.comparison.statistics.estimate import Floats

FACTORS = ("loss", "optimizer", "schedule")
SHAPE = (2, 3, 4, 5)
"""Losses, optimizers, schedules and replicates."""
INTERACTIONS = ["loss:optimizer", "loss:schedule", "optimizer:schedule", "loss:optimizer:schedule"]


def values_of(effects: float = 1.0) -> Floats:
    """Return values in which everything differs, with noise and a shift of each replicate."""
    rng = np.random.default_rng(3)
    systematic = rng.normal(0, effects, SHAPE[:3])[..., None] + rng.normal(0, 1, SHAPE[3])
    return np.asarray(systematic + rng.normal(0, 0.5, SHAPE))


def analysed(values: Floats, *, tuned_once: bool, equal_spreads: bool = True) -> dict[str, Source]:
    levels = list(itertools.product(*(range(n) for n in values.shape)))
    found = analysis_of_variance(
        values.ravel().tolist(),
        {name: [f"{name}{cell[axis]}" for cell in levels] for axis, name in enumerate(FACTORS)},
        [cell[-1] for cell in levels],
        tuned_once=tuned_once,
        equal_spreads=equal_spreads,
    )
    return {source.source: source for source in found}


def sum_of_squares(values: Floats, axes: tuple[int, ...]) -> float:
    """Return that of an effect: of the cell means of its factors, less those of its parts."""
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    means = values.mean(axis=others) - values.mean()
    size = values.size / means.size
    parts = [part for n in range(1, len(axes)) for part in itertools.combinations(axes, n)]
    return float(size * (means**2).sum() - sum(sum_of_squares(values, part) for part in parts))


def test_sums_of_squares_and_degrees_of_freedom() -> None:
    values = values_of()
    found = analysed(values, tuned_once=False)
    assert list(found) == [*FACTORS, *INTERACTIONS, "study", "residual"]
    axis = {name: number for number, name in enumerate((*FACTORS, "study"))}
    explained = 0.0
    for name in list(found)[:-1]:
        axes = tuple(axis[part] for part in name.split(":"))
        expected = sum_of_squares(values, axes)
        assert found[name].sum_of_squares == pytest.approx(expected)
        assert found[name].dof == np.prod([SHAPE[a] - 1 for a in axes])
        explained += expected
    residual = found["residual"]
    assert residual.sum_of_squares == pytest.approx(
        ((values - values.mean()) ** 2).sum() - explained
    )
    assert residual.dof == 24 * 4 - 4
    f = found["loss"].mean_square / residual.mean_square
    assert found["loss"].p == pytest.approx(stats.f.sf(f, 1, residual.dof))


def test_if_tuned_once_all_are_tested_against_the_interaction_of_all() -> None:
    found = analysed(values_of(), tuned_once=True)
    interaction = found["loss:optimizer:schedule"]
    for name in (*FACTORS, *INTERACTIONS[:-1]):
        f = found[name].mean_square / interaction.mean_square
        assert found[name].error == "loss:optimizer:schedule"
        assert found[name].p == pytest.approx(stats.f.sf(f, found[name].dof, interaction.dof))
    assert interaction.p is None
    assert interaction.with_luck
    assert found["seed"].error == "residual"


def test_a_factor_with_one_level_leaves_the_other_two() -> None:
    """Also the error: what was tuned once is in the interaction of the two."""
    values = values_of()[:1]
    found = analysed(values, tuned_once=True)
    assert list(found) == ["optimizer", "schedule", "optimizer:schedule", "seed", "residual"]
    axis = {"optimizer": 1, "schedule": 2}
    for name in list(found)[:3]:
        axes = tuple(axis[part] for part in name.split(":"))
        assert found[name].sum_of_squares == pytest.approx(sum_of_squares(values, axes))
    assert found["optimizer"].error == "optimizer:schedule"
    assert found["optimizer:schedule"].with_luck


def test_unequal_spreads_are_tested_by_effect() -> None:
    """The schedule has a large effect, no other factor has one, and the spreads differ."""
    rng = np.random.default_rng(1)
    spreads = np.array([0.1, 3.0]).reshape(2, 1, 1, 1)
    values = spreads * rng.normal(size=SHAPE) + np.arange(4).reshape(1, 1, 4, 1) * 10
    found = analysed(values, tuned_once=False, equal_spreads=False)
    p_values = {name: found[name].p or 0.0 for name in (*FACTORS, *INTERACTIONS)}
    assert p_values["schedule"] == pytest.approx(1 / 2001)
    assert all(p > 0.01 for name, p in p_values.items() if name != "schedule")
