"""Simulation of true means given the seeds: P(best), equivalence and rank intervals."""

from __future__ import annotations

import numpy as np

from cifar_exp.comparison.statistics.estimate import Estimates, Floats

NUM_DRAWS = 10_000
SEED = 2017


def draw_means(estimates: Estimates) -> Floats:
    """Draw the true means `NUM_DRAWS` times; returns draws x K, with a fixed seed.

    mu = m + s / sqrt(S) t(nu): the posterior of a normal mean under a flat prior. With a pooled
    variance all means share each draw of the variance, so the t values of one draw are dependent.
    """
    rng = np.random.default_rng(SEED)
    shape = (NUM_DRAWS, len(estimates.means))
    normal = rng.standard_normal(shape)
    width = 1 if estimates.pooled else shape[1]
    dofs = np.maximum(estimates.dofs[:width], 1)
    t = normal * np.sqrt(dofs / rng.chisquare(dofs, (NUM_DRAWS, width)))
    return np.asarray(estimates.means + t * np.sqrt(estimates.variances / estimates.sizes))


def best_shares(draws: Floats) -> Floats:
    """Return the fraction of the draws in which each mean is the largest; ties are shared."""
    top = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((top / top.sum(axis=1, keepdims=True)).mean(axis=0))


def equivalent_shares(draws: Floats, best: int, rope: float) -> Floats:
    """Return the fraction of the draws in which each mean is within `rope` of index `best`.

    The region of practical equivalence of Benavoli et al., Time for a change, 2017.
    """
    return np.asarray((np.abs(draws - draws[:, [best]]) < rope).mean(axis=0))


def rank_intervals(estimates: Estimates, draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the lower and upper bound of each mean's rank; each interval has this level.

    Quantiles of the ranks of drawn means cover too rarely near ties, as every draw adds its noise
    to that of the observed order. Instead, the draws give for each mean the critical difference to
    any other mean, in standard errors; the rank is bounded by the means that differ by more.
    Source: Mogstad, Romano, Shaikh and Wilhelm, Inference for ranks, Review of Economic Studies,
    2024.
    """
    means, errors = estimates.means, estimates.standard_errors()
    noise = draws - means
    low, high = np.empty(len(means)), np.empty(len(means))
    for index, mean in enumerate(means):
        others = np.arange(len(means)) != index
        scale = errors[index, others]
        if not others.any():
            low[index] = high[index] = 1
            continue
        largest = np.max(np.abs(noise[:, others] - noise[:, [index]]) / scale, axis=1)
        margin = np.quantile(largest, level) * scale
        low[index] = 1 + np.sum(means[others] - mean > margin)
        high[index] = len(means) - np.sum(mean - means[others] > margin)
    return low, high
