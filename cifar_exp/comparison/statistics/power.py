"""Statistical power: the smallest difference that a number of seeds can detect."""

from __future__ import annotations

import numpy as np
from scipy import optimize, stats

from cifar_exp.comparison.statistics.estimate import Estimates
from cifar_exp.comparison.statistics.multiple_comparison import critical_values, welch_dofs

POWER = 0.8


def minimum_detectable_difference(estimates: Estimates, alpha: float) -> float | None:
    """Return the true difference of two combinations that is detected with probability `POWER`.

    Solves P(T > c) = `POWER` for a noncentral t value T, with the critical value c of
    `differences_to_best`. Pairs differ if variances or numbers of seeds do. This is the median
    pair, by c times its standard error: half of the pairs need a smaller difference.

    Returns:
        The difference in the units of the values; None without variances or a second mean.
    """
    num_means = len(estimates.means)
    if not estimates.known or num_means < 2:
        return None
    pairs = np.triu_indices(num_means, k=1)
    errors = estimates.standard_errors()[pairs]
    critical = critical_values(estimates, alpha)[pairs]
    dofs = (
        np.full_like(errors, estimates.dofs[0])
        if estimates.pooled
        else welch_dofs(estimates)[pairs]
    )
    median = int(np.argsort(critical * errors)[len(errors) // 2])
    shift = detectable_shift(float(critical[median]), float(dofs[median]))
    return shift * float(errors[median])


def detectable_shift(critical: float, dof: float) -> float:
    """Return the shift, in standard errors, at which P(T > `critical`) is `POWER`."""

    def deficit(shift: float) -> float:
        return float(stats.nct.sf(critical, dof, shift)) - POWER

    return float(optimize.brentq(deficit, 0.0, 4 * critical + 10))
