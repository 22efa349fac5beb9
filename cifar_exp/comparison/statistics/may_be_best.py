"""Which combinations may be the best: multiple comparisons with the best, unequal variances.

For each combination one question: is some other one at least as good? The null distribution of the
largest distance to the others is a parametric bootstrap, with the variance and the number of values
of each combination. Sources: Gupta, On some multiple decision (selection and ranking) rules, 1965;
Hsu, Constrained simultaneous confidence intervals for multiple comparisons with the best, 1984;
Krishnamoorthy, Lu and Mathew, A parametric bootstrap approach for ANOVA with unequal variances,
2007.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cifar_exp.comparison.statistics.estimate import Estimates, Floats, sum_of_squares

NUM_DRAWS = 20_000
BLOCK = 1_000  # draws at a time, so that their arrays fit into the processor's cache
SEED = 1984


def own_estimates(groups: Sequence[Sequence[float]], num_examples: int | None = None) -> Estimates:
    """Estimate means and variances of non-empty groups of values; variances are never pooled.

    A group without any spread has the variance of `_with_spread`. A single value has the mean of
    the variances of the other groups, weighted by their degrees of freedom, and one degree of
    freedom. All variances are NaN if no group has two values, or no spread can be estimated.

    Args:
        groups: The values of each group, larger is better.
        num_examples: Number of test examples if the values are fractions of them, else None.
    """
    sizes = np.array([len(group) for group in groups], dtype=float)
    means = np.array([np.mean(group) for group in groups])
    variances = np.full(len(groups), np.nan)
    repeated, dofs = sizes > 1, np.maximum(sizes - 1, 1)
    if repeated.any():
        own = np.array([sum_of_squares(group) for group in groups]) / dofs
        own = _with_spread(own[repeated], means[repeated], sizes[repeated], num_examples)
        variances[:] = np.average(own, weights=dofs[repeated])
        variances[repeated] = own
    return Estimates(means, sizes, variances, dofs, pooled=False, p_equal=None)


def p_may_be_best(estimates: Estimates, num_draws: int = NUM_DRAWS, seed: int = SEED) -> Floats:
    """Return for each mean the p-value of "it is better than all others, or equal to the best".

    t_k = max over i of (m_i - m_k) / sqrt(v_i / n_i + v_k / n_k), and its null distribution with
    equal means: normal means with variances v_i / n_i, estimated variances v_i chi2(n_i - 1) /
    (n_i - 1). p_k = (1 + #{T >= t_k}) / (B + 1). The best mean has p <= alpha in at most alpha of
    all samples.

    Args:
        estimates: From `own_estimates`.
        num_draws: B, a multiple of `BLOCK`.
        seed: Of the draws.

    Returns:
        K p-values; NaN if the variances are not known.
    """
    if not estimates.known:
        return np.full(len(estimates.means), np.nan)
    squares = (estimates.variances / estimates.sizes)[:, None]
    observed = _largest_distances(estimates.means[:, None], squares)
    dofs = estimates.dofs[:, None]
    rng = np.random.default_rng(seed)
    shape = (len(squares), BLOCK)
    as_far = np.zeros(len(squares))
    for _ in range(num_draws // BLOCK):
        means = rng.standard_normal(shape) * np.sqrt(squares)
        drawn_squares = squares * rng.chisquare(dofs, shape) / dofs
        as_far += np.sum(_largest_distances(means, drawn_squares) >= observed, axis=1)
    return np.asarray((1 + as_far) / (1 + num_draws))


def _with_spread(
    variances: Floats, means: Floats, sizes: Floats, num_examples: int | None
) -> Floats:
    """Replace variances of groups of equal values, which cannot be exactly certain.

    With the number of examples N: the binomial variance of a fraction p of them, p (1 - p) / N,
    with one more correct and one more wrong example so that it is never 0. It replaces variances
    below that of values of which a single one differs by half an example. Otherwise: the smallest
    positive variance, NaN if there is none.
    """
    if num_examples is None:
        positive = variances[variances > 0]
        return np.where(variances > 0, variances, positive.min() if len(positive) else np.nan)
    fractions = (num_examples * means + 1) / (num_examples + 2)
    smallest = 0.25 / (sizes * num_examples**2)
    return np.where(variances < smallest, fractions * (1 - fractions) / num_examples, variances)


def _largest_distances(means: Floats, squares: Floats) -> Floats:
    """Return by how many standard errors each mean is below the others, at most: K x draws."""
    largest = np.empty_like(means)
    for index in range(len(means)):
        distances = (means - means[index]) / np.sqrt(squares + squares[index])
        distances[index] = -np.inf
        largest[index] = distances.max(axis=0)
    return largest
