"""Multiple comparison with the best combination, which is itself chosen by the data.

Dunnett's test compares with a control that is fixed in advance. The best of K means is not: with K
equal combinations it exceeds the worst one by the range of K means. So the level holds for all
pairs, and therefore for any pair that the data selects.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Estimates, Floats

OWN_SPREADS_LEVEL = 0.5  # of alpha; the other half pays for the preceding test of variances


@dataclass(frozen=True, slots=True)
class Differences:
    """Best minus each mean: simultaneous bounds, adjusted p-value, and whether it is worse.

    `low`, `high` and `p_adjusted` are NaN if the variances are unknown; for the best itself they
    are 0, 0 and NaN.
    """

    values: Floats
    low: Floats
    high: Floats
    p_adjusted: Floats
    worse: NDArray[np.bool_]


def differences_to_best(estimates: Estimates, best: int, alpha: float) -> Differences:
    """Compare every mean with that of index `best`, with family-wise error at most `alpha`.

    Pooled variance: Tukey-Kramer, the studentized range of all means. Own variances: Welch's t
    with Holm's adjustment over all pairs at half of `alpha`, and Bonferroni bounds, which are
    slightly wider than Holm's decisions.
    """
    values = estimates.means[best] - estimates.means
    is_best = np.arange(len(values)) == best
    errors = estimates.standard_errors()[best]
    margins = np.where(is_best, 0.0, critical_values(estimates, alpha)[best] * errors)
    adjust = _tukey_kramer if estimates.pooled else _welch_holm
    return Differences(
        values=values,
        low=values - margins,
        high=values + margins,
        p_adjusted=np.where(is_best, np.nan, adjust(estimates, best)),
        worse=worse_than_best(estimates, best, alpha),
    )


def worse_than_best(estimates: Estimates, best: int, alpha: float) -> NDArray[np.bool_]:
    """Return which means are significantly lower than that of index `best`."""
    if not estimates.pooled:
        return _welch_holm(estimates, best) < alpha
    distances = (estimates.means[best] - estimates.means) / estimates.standard_errors()[best]
    return np.asarray(distances > critical_values(estimates, alpha)[best])


def critical_values(estimates: Estimates, alpha: float) -> Floats:
    """Return the critical difference of every pair in standard errors, K x K, simultaneous."""
    num_means = len(estimates.means)
    if estimates.pooled:
        quantile = _range_quantile(1 - alpha, num_means, float(estimates.dofs[0]))
        return np.full((num_means, num_means), quantile / np.sqrt(2))
    tail = alpha * OWN_SPREADS_LEVEL / (num_means * (num_means - 1))
    return np.asarray(stats.t.ppf(1 - tail, welch_dofs(estimates)), dtype=float)


def welch_dofs(estimates: Estimates) -> Floats:
    """Return the Welch-Satterthwaite degrees of freedom of every pair's difference, K x K."""
    squares = estimates.variances / estimates.sizes
    total = squares[:, None] + squares[None, :]
    parts = squares**2 / estimates.dofs
    return np.asarray(total**2 / (parts[:, None] + parts[None, :]), dtype=float)


def holm(p_values: Floats) -> Floats:
    """Adjust p-values for multiple tests. Holm, A simple sequentially rejective procedure, 1979."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return adjusted


def _tukey_kramer(estimates: Estimates, best: int) -> Floats:
    """Return the Tukey-Kramer p-value of each mean against the best."""
    num_means = len(estimates.means)
    if num_means < 2 or not estimates.known:
        return np.full(num_means, np.nan)
    distances = np.abs(estimates.means[best] - estimates.means) / estimates.standard_errors()[best]
    tails = stats.studentized_range.sf(distances * np.sqrt(2), num_means, estimates.dofs[0])
    return np.asarray(np.clip(tails, 0.0, 1.0), dtype=float)


def _welch_holm(estimates: Estimates, best: int) -> Floats:
    means, num_means = estimates.means, len(estimates.means)
    ratios = np.abs(means[:, None] - means[None, :]) / estimates.standard_errors()
    pairs = np.triu_indices(num_means, k=1)
    adjusted = np.ones((num_means, num_means))
    adjusted[pairs] = holm(2 * np.asarray(stats.t.sf(ratios, welch_dofs(estimates)))[pairs])
    both = np.minimum(adjusted, adjusted.T)
    return np.asarray(np.minimum(1.0, both[best] / OWN_SPREADS_LEVEL), dtype=float)


@lru_cache
def _range_quantile(level: float, num_means: int, dof: float) -> float:
    """Return a quantile of the studentized range; cached, as it takes a tenth of a second."""
    if num_means < 2 or dof < 1:
        return float("nan")
    return float(stats.studentized_range.ppf(level, num_means, dof))
