"""The smallest difference that a number of seeds can show."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from cifar_exp.comparison.statistics.estimate import Estimates
from cifar_exp.comparison.statistics.multiple_comparison import OWN_SPREADS_LEVEL, critical_values

POWER = 0.8


def minimum_detectable_difference(estimates: Estimates, alpha: float) -> float | None:
    """Return which true difference of two combinations is found with probability `POWER`.

    It solves P(T > c) = `POWER` for a noncentral t value T, with the bound c that
    `differences_to_best` uses. Unequal numbers of seeds count by their harmonic mean. Where the
    variance is not pooled it is that of a typical pair, with the mean of the variances.

    Returns:
        The difference in the units of the values, or None without a spread or a second mean.
    """
    if not estimates.known or len(estimates.means) < 2:
        return None
    size = float(stats.hmean(estimates.sizes))
    variance = float(estimates.variances.mean())
    dof = float(estimates.dofs[0]) if estimates.pooled else max(1.0, 2 * (size - 1))
    critical = _critical(estimates, alpha, dof)
    return detectable_shift(critical, dof) * float(np.sqrt(2 * variance / size))


def detectable_shift(critical: float, dof: float) -> float:
    """Return the shift in standard errors with which a t value exceeds `critical` by `POWER`."""

    def missing(shift: float) -> float:
        return float(stats.nct.sf(critical, dof, shift)) - POWER

    return float(optimize.brentq(missing, 0.0, 4 * critical + 10))


def _critical(estimates: Estimates, alpha: float, dof: float) -> float:
    num_means = len(estimates.means)
    if estimates.pooled:
        return float(critical_values(estimates, alpha)[0, 0])
    tail = alpha * OWN_SPREADS_LEVEL / (num_means * (num_means - 1))
    return float(stats.t.ppf(1 - tail, dof))
