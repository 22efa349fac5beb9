"""Budget curves: the best result after each number of trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def expected_best(values: Sequence[float]) -> list[float]:
    """Return the expected maximum of n of these B values, for n = 1 to B.

    The unbiased estimator sum_j C(j - 1, n - 1) / C(B, n) v_(j) over ascending values: the mean of
    the maximum over all subsets of size n. Valid for independent trials, such as random or
    quasi-random ones. Source: Tang et al., Showing your work doesn't always work, ACL 2020.
    """
    ascending = np.sort(np.asarray(values, dtype=float))
    num_values = len(ascending)
    positions = np.arange(1, num_values + 1)
    weights = np.full(num_values, 1 / max(num_values, 1))  # C(j - 1, 0) / C(B, 1)
    expected = []
    for n in positions:
        expected.append(float(weights @ ascending))
        if n < num_values:  # to C(j - 1, n) / C(B, n + 1)
            weights = weights * np.maximum(positions - n, 0) / n * (n + 1) / (num_values - n)
    return expected


def best_so_far(values: Sequence[float]) -> list[float]:
    """Return the largest value up to each trial, in the order of the trials."""
    return [float(value) for value in np.maximum.accumulate(np.asarray(values, dtype=float))]
