"""P(best) by empirical Bayes: the means share a prior, which is estimated from all of them.

With a flat prior, P(best) of the first is too high if the true means are close to each other, as
the first of similar combinations was lucky. A common prior shrinks what lies close together, and
leaves alone what lies apart.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Estimates, Floats

NUM_DRAWS = 10_000
SEED = 1956
POINTS_PER_MEAN = 41
STEPS = 20  # the exact maximum is a few points; stopped early, the prior is smooth


def shrunk_means(estimates: Estimates) -> Floats:
    """Draw the true means `NUM_DRAWS` times; returns draws x K, with a fixed seed.

    The prior is any distribution over points around the means; its weights maximize the likelihood
    of all means (EM, stopped early; it starts at the mean of the posteriors under a flat prior).
    Sources: Kiefer and Wolfowitz, Consistency of the maximum likelihood estimator, 1956; Koenker
    and Mizera, Convex optimization, shape constraints, and compound decisions, 2014.
    """
    means, dofs = estimates.means[:, None], estimates.dofs[:, None]
    errors = np.sqrt(estimates.variances / estimates.sizes)[:, None]
    levels = (np.arange(POINTS_PER_MEAN) + 0.5) / POINTS_PER_MEAN
    points = np.unique(means + errors * stats.t.ppf(levels, dofs))
    likelihood = stats.t.pdf((means - points) / errors, dofs)
    likelihood /= likelihood.max(axis=1, keepdims=True)
    cumulative = _posteriors(likelihood).cumsum(axis=1)
    uniform = np.random.default_rng(SEED).random((NUM_DRAWS, len(means)))
    drawn = [
        points[np.searchsorted(of_mean[:-1], column, side="right")]
        for of_mean, column in zip(cumulative, uniform.T, strict=True)
    ]
    return np.stack(drawn, axis=1)


def _posteriors(likelihood: Floats) -> Floats:
    """Return the weights of the points for each mean (K x points) under the estimated prior."""
    prior = np.full(likelihood.shape[1], 1.0)
    posteriors = likelihood
    for _ in range(STEPS + 1):
        joint = likelihood * prior
        posteriors = joint / joint.sum(axis=1, keepdims=True)
        prior = posteriors.mean(axis=0)
    return posteriors
