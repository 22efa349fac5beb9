"""Confidence intervals of means."""

from __future__ import annotations

import numpy as np
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Estimates, Floats

Bounds = tuple[float, float]
"""The smallest and the largest possible value of a quantity."""


def half_widths(estimates: Estimates, alpha: float) -> Floats:
    """Return the half-width of each mean's t interval at level 1 - `alpha`; NaN if unknown.

    m +- t(1 - alpha / 2, nu) s / sqrt(S). The intervals are not simultaneous.
    """
    quantiles = stats.t.ppf(1 - alpha / 2, np.maximum(estimates.dofs, 1))
    return np.asarray(quantiles * np.sqrt(estimates.variances / estimates.sizes), dtype=float)


def intervals(estimates: Estimates, alpha: float, bounds: Bounds) -> tuple[Floats, Floats]:
    """Return the ends of each mean's t interval within the bounds of the quantity.

    The true mean lies within the bounds, so that the cut interval covers it exactly as often.
    """
    widths = half_widths(estimates, alpha)
    low, high = estimates.means - widths, estimates.means + widths
    return np.clip(low, *bounds), np.clip(high, *bounds)
