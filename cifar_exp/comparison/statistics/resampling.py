"""What could have come out: means drawn again and again from what the seeds say of them."""

from __future__ import annotations

import numpy as np

from cifar_exp.comparison.statistics.estimate import Estimates, Floats

NUM_DRAWS = 10_000
SEED = 2017


def draw_means(estimates: Estimates) -> Floats:
    """Draw the true means `NUM_DRAWS` times, draws x K; the same each time for the same estimates.

    mu = m + s / sqrt(S) t(nu): the posterior of a normal mean under a flat prior. With a pooled
    variance all means share each draw of it, so the t values of one draw are dependent.
    """
    rng = np.random.default_rng(SEED)
    shape = (NUM_DRAWS, len(estimates.means))
    normal = rng.standard_normal(shape)
    width = 1 if estimates.pooled else shape[1]
    dofs = np.maximum(estimates.dofs[:width], 1)
    t = normal * np.sqrt(dofs / rng.chisquare(dofs, (NUM_DRAWS, width)))
    return np.asarray(estimates.means + t * np.sqrt(estimates.variances / estimates.sizes))


def best_shares(draws: Floats) -> Floats:
    """Return in which share of the draws each mean is the largest; equals share a draw."""
    top = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((top / top.sum(axis=1, keepdims=True)).mean(axis=0))


def equivalent_shares(draws: Floats, best: int, rope: float) -> Floats:
    """Return in which share of the draws each mean is within `rope` of that of index `best`.

    The region of practical equivalence of Benavoli et al., Time for a change, 2017.
    """
    return np.asarray((np.abs(draws - draws[:, [best]]) < rope).mean(axis=0))


def rank_intervals(estimates: Estimates, draws: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the first and last rank that each mean may have, each interval at this level.

    Ranks of drawn means would do this only where the true means lie far apart; near ties such
    intervals cover far too rarely, as every draw adds its noise to that of the observed order.
    So the draws give, for each mean, how many standard errors any other one can lie from it by
    chance, and its rank is bounded by those that lie farther. Source: Mogstad, Romano, Shaikh
    and Wilhelm, Inference for ranks, Review of Economic Studies, 2024.
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
        farthest = np.max(np.abs(noise[:, others] - noise[:, [index]]) / scale, axis=1)
        margin = np.quantile(farthest, level) * scale
        low[index] = 1 + np.sum(means[others] - mean > margin)
        high[index] = len(means) - np.sum(mean - means[others] > margin)
    return low, high
