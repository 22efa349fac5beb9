"""How much of the variance is loss, optimizer, their interaction, and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One row of an analysis of variance; what a source does not have is None.

    `omega_squared` is the estimated share of the variance, not below 0.
    """

    source: str
    sum_of_squares: float
    dof: int
    mean_square: float
    f: float | None = None
    p: float | None = None
    omega_squared: float | None = None


def two_way(
    values: Sequence[float],
    losses: Sequence[str],
    optimizers: Sequence[str],
    seeds: Sequence[int],
) -> tuple[Source, ...]:
    """Split the variance of values by loss, optimizer, their interaction, and seed.

    y = mu + loss + optimizer + loss:optimizer + seed + error by least squares, with sums of
    squares of type II: each source beyond all that do not contain it, so that missing values
    do not mix them. omega^2 = (SS - df MS_error) / (SS_total + MS_error); Hays, Statistics, 1963.
    A factor of one level has no row.

    Returns:
        The sources and, last, the `residual`; nothing where no degree of freedom or no variance
        is left for it.
    """
    y = np.asarray(values, dtype=float)
    loss, optimizer, seed = map(_indicators, (losses, optimizers, seeds))
    cell = _indicators(list(zip(losses, optimizers, strict=True)))
    main, full = _fit(y, loss, optimizer, seed), _fit(y, cell, seed)
    error_dof = len(y) - full[1]
    if error_dof < 1 or full[0] <= np.finfo(float).eps * max(1.0, float(y @ y)):
        return ()
    splits = {
        "loss": (_fit(y, optimizer, seed), main),
        "optimizer": (_fit(y, loss, seed), main),
        "loss:optimizer": (main, full),
        "seed": (_fit(y, cell), full),
    }
    total = float(np.sum((y - y.mean()) ** 2))
    error = Source(
        source="residual",
        sum_of_squares=full[0],
        dof=error_dof,
        mean_square=full[0] / error_dof,
    )
    found = [
        _source(name, without[0] - with_[0], with_[1] - without[1], total, error)
        for name, (without, with_) in splits.items()
        if with_[1] > without[1]
    ]
    return (*found, error)


def _source(name: str, sum_of_squares: float, dof: int, total: float, error: Source) -> Source:
    f = sum_of_squares / dof / error.mean_square
    omega_squared = (sum_of_squares - dof * error.mean_square) / (total + error.mean_square)
    return Source(
        source=name,
        sum_of_squares=sum_of_squares,
        dof=dof,
        mean_square=sum_of_squares / dof,
        f=f,
        p=float(stats.f.sf(f, dof, error.dof)),
        omega_squared=max(0.0, omega_squared),
    )


def _indicators(labels: Sequence[object]) -> Floats:
    """Return values x levels, 1 where a value has a level."""
    levels = {label: position for position, label in enumerate(dict.fromkeys(labels))}
    return np.eye(len(levels))[[levels[label] for label in labels]]


def _fit(y: Floats, *factors: Floats) -> tuple[float, int]:
    """Return the sum of squared errors and the rank of a linear model of factors."""
    design = np.hstack([np.ones((len(y), 1)), *factors])
    coefficients, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(np.sum((y - design @ coefficients) ** 2)), int(rank)
