"""Statistical power: the smallest difference that a number of seeds can detect."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from cifar_exp.comparison.statistics.estimate import Estimates
from cifar_exp.comparison.statistics.multiple_comparison import OWN_SPREADS_LEVEL, critical_values

POWER = 0.8


def minimum_detectable_difference(estimates: Estimates, alpha: float) -> float | None:
    """Return the true difference of two combinations that is detected with probability `POWER`.

    Solves P(T > c) = `POWER` for a noncentral t value T, with the critical value c of
    `differences_to_best`. For unequal numbers of seeds their harmonic mean is used. If the variance
    is not pooled, the mean of the variances is used.

    Returns:
        The difference in the units of the values; None without variances or a second mean.
    """
    if not estimates.known or len(estimates.means) < 2:
        return None
    size = float(stats.hmean(estimates.sizes))
    variance = float(estimates.variances.mean())
    dof = float(estimates.dofs[0]) if estimates.pooled else max(1.0, 2 * (size - 1))
    critical = _critical(estimates, alpha, dof)
    return detectable_shift(critical, dof) * float(np.sqrt(2 * variance / size))


def detectable_shift(critical: float, dof: float) -> float:
    """Return the shift, in standard errors, at which P(T > `critical`) is `POWER`."""

    def deficit(shift: float) -> float:
        return float(stats.nct.sf(critical, dof, shift)) - POWER

    return float(optimize.brentq(deficit, 0.0, 4 * critical + 10))


def _critical(estimates: Estimates, alpha: float, dof: float) -> float:
    num_means = len(estimates.means)
    if estimates.pooled:
        return float(critical_values(estimates, alpha)[0, 0])
    tail = alpha * OWN_SPREADS_LEVEL / (num_means * (num_means - 1))
    return float(stats.t.ppf(1 - tail, dof))
