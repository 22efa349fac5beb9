"""Statistical power: the smallest difference that a number of seeds can detect."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from scipy import optimize, stats

from cifar_exp.comparison.statistics.estimate import Estimates
from cifar_exp.comparison.statistics.multiple_comparison import critical_values, welch_dofs

POWER = 0.8
MOST_REPLICATES = 1000
"""More than these are not looked for."""


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


def replicates_to_tell(
    difference: float, variances: tuple[float, float], alpha: float
) -> int | None:
    """Return how many replicates of each of two combinations show which one is better.

    The smallest n for which the true difference d > 0 is found with probability `POWER` by Welch's
    one-sided t test: P(T > t(1 - alpha, nu)) >= `POWER` for a noncentral t value T with shift
    d / sqrt((v1 + v2) / n) and nu = (n - 1) (v1 + v2)^2 / (v1^2 + v2^2).

    Args:
        difference: The true difference of the means.
        variances: The variance of single replicates of each.
        alpha: The level of the test.

    Returns:
        n; None if it is above `MOST_REPLICATES`, as without a difference.
    """
    total = sum(variances)

    def enough(size: int) -> bool:
        dof = (size - 1) * total**2 / sum(v**2 for v in variances)
        shift, critical = difference / (total / size) ** 0.5, float(stats.t.isf(alpha, dof))
        if shift > 4 * critical + 10:  # certain, and scipy may not compute it
            return True
        return bool(stats.nct.sf(critical, dof, shift) >= POWER)

    if difference <= 0 or total <= 0 or not enough(MOST_REPLICATES):
        return None
    return 2 + bisect_left(range(2, MOST_REPLICATES), True, key=enough)


def detectable_shift(critical: float, dof: float) -> float:
    """Return the shift, in standard errors, at which P(T > `critical`) is `POWER`."""

    def deficit(shift: float) -> float:
        return float(stats.nct.sf(critical, dof, shift)) - POWER

    return float(optimize.brentq(deficit, 0.0, 4 * critical + 10))
