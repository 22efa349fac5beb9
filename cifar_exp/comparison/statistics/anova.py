"""Analysis of variance by loss, optimizer, their interaction and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cifar_exp.comparison.statistics.estimate import Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One row of an analysis of variance; the residual has no `f`, `p` and `omega_squared`.

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
    """Split the variance of values by loss, optimizer, their interaction and seed.

    The model y = mu + loss + optimizer + loss:optimizer + seed + error is fitted by least squares.
    Sums of squares are of type II: each source is adjusted for all sources that do not contain it,
    so that missing values do not confound them. A factor with one level has no row.
    omega^2 = (SS - df MS_error) / (SS_total + MS_error). Source: Hays, Statistics, 1963.

    Returns:
        The sources and, last, the `residual`; empty if it has no degree of freedom or no variance.
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
    sources = [
        _source(name, reduced[0] - full_model[0], full_model[1] - reduced[1], total, error)
        for name, (reduced, full_model) in splits.items()
        if full_model[1] > reduced[1]
    ]
    return (*sources, error)


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
    """Return the indicator matrix, values x levels."""
    levels = {label: position for position, label in enumerate(dict.fromkeys(labels))}
    return np.eye(len(levels))[[levels[label] for label in labels]]


def _fit(y: Floats, *factors: Floats) -> tuple[float, int]:
    """Return the sum of squared errors and the rank of a linear model of the factors."""
    design = np.hstack([np.ones((len(y), 1)), *factors])
    coefficients, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(np.sum((y - design @ coefficients) ** 2)), int(rank)
