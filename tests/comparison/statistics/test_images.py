"""The error of a difference by the test images, by hand and by statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from cifar_exp.comparison.statistics.images import hit_rates, image_error


def test_the_error_by_hand() -> None:
    first = hit_rates(np.array([[True, True, True, False], [True, False, True, False]]))
    second = hit_rates(np.array([[True, False, False, False], [True, False, False, False]]))
    assert first.tolist() == [1.0, 0.5, 1.0, 0.0]
    # Differences 0, .5, 1, 0 of mean .375: squares .140625, .015625, .390625, .140625.
    assert image_error(first, second) == pytest.approx((0.6875 / 3 / 4) ** 0.5)


def test_networks_that_agree_on_every_image_have_no_error() -> None:
    rates = np.array([1.0, 0.0, 1.0])
    assert image_error(rates, rates) == 0.0


def test_one_seed_is_mcnemars_test() -> None:
    """(b - c)^2 / (b + c) without the mean: the squared ratio of the difference to its error."""
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 5000)) < 0.8
    table = [[np.sum(a & b) for b in (second, ~second)] for a in (first, ~first)]
    statistic = mcnemar(table, exact=False, correction=False).statistic
    ratio = (first.mean() - second.mean()) / image_error(1.0 * first, 1.0 * second)
    assert ratio**2 == pytest.approx(statistic, rel=0.02)


def test_the_error_is_that_of_other_test_images() -> None:
    rng = np.random.default_rng(1)
    errors, differences = [], []
    for _ in range(400):
        difficulty = rng.random(300)
        first, second = (rng.random((3, 300)) < difficulty**power for power in (0.2, 0.4))
        errors.append(image_error(hit_rates(first), hit_rates(second)))
        differences.append(first.mean() - second.mean())
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.15)
