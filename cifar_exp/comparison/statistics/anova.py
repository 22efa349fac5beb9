"""Analysis of variance by loss, optimizer, schedule, their interactions and replicate.

A combination that was tuned once has one setting, found with good or bad luck. Its seeds do not
vary this luck, so their residual is too small an error for the factors. The luck is part of the
interaction of all of them, whose mean square is the right error then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy import optimize, stats

from cifar_exp.comparison.statistics.estimate import Floats, own_spreads
from cifar_exp.comparison.statistics.welch_james import Term, p_values, terms_of

REPLICATE = {True: "seed", False: "study"}
"""The source of the replicates, by whether the results of a combination are of one setting."""
RESIDUAL = "residual"


LARGEST_F = 1e6
"""Above it no bound is computed, as scipy cannot; it is shown for small F values only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One row of an analysis of variance; a source that cannot be tested has no `f` and no `p`.

    `omega_squared` is the estimated share of the variance, not below 0.
    """

    source: str
    sum_of_squares: float
    dof: int
    mean_square: float
    f: float | None = None
    p: float | None = None
    omega_squared: float | None = None
    at_most: float | None = None
    """Upper confidence bound of the share, one-sided at level 1 - alpha; None without `f`."""
    error: str | None = None
    """The source whose mean square is the error of this one; None if there is none."""
    with_luck: bool = False
    """Whether it cannot be told from the luck of tuning, as every combination was tuned once."""


def analysis_of_variance(
    values: Sequence[float],
    factors: Mapping[str, Sequence[str]],
    replicates: Sequence[int],
    *,
    tuned_once: bool,
    equal_spreads: bool = True,
    alpha: float = 0.05,
) -> tuple[Source, ...]:
    """Split the variance of values by factors, their interactions and replicate.

    The model y = mu + factors + all their interactions + replicate + error is fitted by least
    squares. Sums of squares are of type II: each source is adjusted for all sources that do not
    contain it, so that missing values do not confound them. A factor with one level has no row.
    omega^2 = (SS - df MS_error) / (SS_total + MS_error). Source: Hays, Statistics, 1963.

    Args:
        values: The results.
        factors: The level of each result by the name of the factor, such as `loss`.
        replicates: The number of the seed of each result or, if tunings are repeated, of the study.
        tuned_once: Whether the results of a combination are seeds of one setting. Then all other
            sources are tested against the interaction of all factors, and that is not tested.
        equal_spreads: Whether all combinations have one variance. If not, there is no F test;
            repeated tunings are tested by Welch and James instead.
        alpha: One minus the level of the bounds.

    Returns:
        The sources and, last, the residual; empty if it has no degree of freedom or no variance.
    """
    y = np.asarray(values, dtype=float)
    terms = terms_of(list(factors))
    columns = {
        term: _indicators(list(zip(*(factors[name] for name in term), strict=True)))
        for term in terms
    }
    replicate = _indicators(replicates)

    def fit(fitted: Iterable[Term], *others: Floats) -> tuple[float, int]:
        return _fit(y, *(columns[term] for term in _largest(fitted)), *others)

    full = fit(terms, replicate)
    error_dof = len(y) - full[1]
    if error_dof < 1 or full[0] <= np.finfo(float).eps * max(1.0, float(y @ y)):
        return ()
    splits = {}
    for term in terms:
        adjusted = [other for other in terms if not {*term} <= {*other}]
        with_term = [other for other in terms if other == term or other in adjusted]
        splits[_name(term)] = (fit(adjusted, replicate), fit(with_term, replicate))
    splits[REPLICATE[tuned_once]] = (fit(terms), full)
    rows = {
        name: _row(name, reduced[0] - larger[0], larger[1] - reduced[1])
        for name, (reduced, larger) in splits.items()
        if larger[1] > reduced[1]
    }
    residual = _row(RESIDUAL, full[0], error_dof)
    varied = _name([name for name, levels in factors.items() if len(set(levels)) > 1])
    errors = _errors(rows, residual, varied if tuned_once else None)
    total = float(np.sum((y - y.mean()) ** 2))
    sources = [_with_share(row, errors[name], residual, total) for name, row in rows.items()]
    if equal_spreads:
        sources = [_f_tested(source, errors[source.source], total, alpha) for source in sources]
    elif not tuned_once:
        tests = _own_spread_tests(y, factors)
        sources = [replace(source, p=tests.get(source.source)) for source in sources]
    return (*sources, residual)


def noncentrality_bound(f: float, dof: int, error_dof: int, alpha: float) -> float:
    """Return the noncentrality at which an F value at most as large has probability `alpha`.

    It is the upper confidence bound of the noncentrality, one-sided at level 1 - `alpha`. Source:
    Steiger, Beyond the F test: effect size confidence intervals, 2004.
    """

    def excess(noncentrality: float) -> float:
        return float(stats.ncf.cdf(f, dof, error_dof, noncentrality)) - alpha

    high = 1.0
    while excess(high) > 0:
        high *= 2
    return float(optimize.brentq(excess, 0.0, high)) if excess(0.0) > 0 else 0.0


def _row(name: str, sum_of_squares: float, dof: int) -> Source:
    mean_square = sum_of_squares / dof
    return Source(source=name, sum_of_squares=sum_of_squares, dof=dof, mean_square=mean_square)


def _name(term: Iterable[str]) -> str:
    return ":".join(term)


def _largest(terms: Iterable[Term]) -> list[Term]:
    """Return the terms that no other one contains; their columns span those of all."""
    given = list(terms)
    return [term for term in given if not any({*term} < {*other} for other in given)]


def _errors(
    rows: Mapping[str, Source], residual: Source, with_luck: str | None
) -> Mapping[str, Source | None]:
    """Return the source of the error of each source; None if there is none.

    `with_luck` is the interaction that has the luck of tuning, if it was not repeated.
    """
    if with_luck is None:
        return dict.fromkeys(rows, residual)
    interaction = rows.get(with_luck)
    own = {with_luck: None, REPLICATE[True]: residual}
    return {name: own.get(name, interaction) for name in rows}


def _with_share(row: Source, error: Source | None, residual: Source, total: float) -> Source:
    """Add the share of the variance; without an error of its own, it is beyond the residual."""
    noise = (error or residual).mean_square
    share = (row.sum_of_squares - row.dof * noise) / (total + noise)
    return replace(
        row,
        omega_squared=max(0.0, share),
        error=error.source if error else None,
        with_luck=error is None,
    )


def _f_tested(source: Source, error: Source | None, total: float, alpha: float) -> Source:
    """Add the F test, and the bound: the share if the noncentrality were at its upper bound."""
    if error is None or error.mean_square <= np.finfo(float).eps * total:
        return source
    noise = error.mean_square
    f = source.mean_square / noise
    tested = replace(source, f=f, p=float(stats.f.sf(f, source.dof, error.dof)))
    if f > LARGEST_F:
        return tested
    effect = noise * noncentrality_bound(f, source.dof, error.dof, alpha)
    rest = total - source.sum_of_squares + (source.dof + 1) * noise
    return replace(tested, at_most=effect / (rest + effect))


def _own_spread_tests(
    y: Floats, factors: Mapping[str, Sequence[str]]
) -> Mapping[str, float | None]:
    """Return the p-value of each factor and interaction if every combination has values."""
    levels = [list(dict.fromkeys(of_values)) for of_values in factors.values()]
    cells = list(zip(*factors.values(), strict=True))
    groups = [
        [value for value, cell in zip(y.tolist(), cells, strict=True) if cell == combination]
        for combination in product(*levels)
    ]
    if not all(groups):
        return {}
    tests = p_values(own_spreads(groups), [len(of_factor) for of_factor in levels])
    return dict(zip(map(_name, terms_of(list(factors))), tests, strict=True))


def _indicators(labels: Sequence[object]) -> Floats:
    """Return the indicator matrix, values x levels."""
    levels = {label: position for position, label in enumerate(dict.fromkeys(labels))}
    return np.eye(len(levels))[[levels[label] for label in labels]]


def _fit(y: Floats, *factors: Floats) -> tuple[float, int]:
    """Return the sum of squared errors and the rank of a linear model of the factors."""
    design = np.hstack([np.ones((len(y), 1)), *factors])
    coefficients, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    return float(np.sum((y - design @ coefficients) ** 2)), int(rank)
