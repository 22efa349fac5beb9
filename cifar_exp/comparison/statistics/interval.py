"""Confidence intervals of means."""

from __future__ import annotations

import numpy as np
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Estimates, Floats


def half_widths(estimates: Estimates, alpha: float) -> Floats:
    """Return the half-width of each mean's t interval at level 1 - `alpha`; NaN if unknown.

    m +- t(1 - alpha / 2, nu) s / sqrt(S). The intervals are not simultaneous.
    """
    quantiles = stats.t.ppf(1 - alpha / 2, np.maximum(estimates.dofs, 1))
    return np.asarray(quantiles * np.sqrt(estimates.variances / estimates.sizes), dtype=float)
