"""Comparison of the same combinations across several experiments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cifar_exp.comparison.inference import infer
from cifar_exp.comparison.method import YARDSTICKS
from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.ranks import (
    Floats,
    average_ranks,
    concordance,
    critical_difference,
    p_equal_ranks,
    rank_correlations,
)
from cifar_exp.components.metrics.metrics import Metric
from cifar_exp.errors import BadInput

ENOUGH_EXPERIMENTS = 5
"""With fewer experiments, the critical difference is too large for a useful test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The rank of a combination in one experiment, among the combinations in all experiments."""

    rank: float
    """1 for the best; equal means have their mean rank."""
    mean: float
    rank_low: int | None
    rank_high: int | None
    in_best_group: bool | None
    may_be_best: bool | None
    """Whether it may be the best in the experiment; None without a spread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcrossRow:
    """One combination across all experiments."""

    combination: str
    loss: str
    optimizer: str
    schedule: str
    mean_rank: float
    best_groups: int
    """Number of experiments in which it is in the best group."""
    may_be_best: int
    """Number of experiments in which it may be the best."""
    holds_place: bool | None
    """Whether some rank lies in its rank intervals of all experiments; None without intervals."""
    places: tuple[Place, ...]
    """Its ranks, in the order of the experiments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Across:
    """The comparison: combinations in the order of their mean rank."""

    experiments: tuple[str, ...]
    combinations: tuple[AcrossRow, ...]
    has_schedules: bool = False
    """Whether some experiment has schedules."""
    left_out: tuple[str, ...] = ()
    """Combinations that are missing or incomplete in some experiment."""
    yardstick: str
    alpha: float
    concordance: float | None = None
    """Kendall's W: 1 if all experiments agree on the order."""
    correlations: tuple[tuple[float | None, ...], ...] = ()
    """Kendall's tau-b of every pair of experiments."""
    p_equal_ranks: float | None = None
    """P-value of equal mean ranks (Friedman's permutation test); None for a single experiment."""
    critical_difference: float | None = None
    """Mean ranks that are more than this apart differ; None with fewer than 5 experiments."""

    @property
    def measure(self) -> Metric:
        """The metric of the yardstick."""
        return YARDSTICKS[self.yardstick]


def across(rankings: Sequence[Ranking]) -> Across:
    """Compare the rankings of several experiments by one yardstick.

    Raises:
        BadInput: An experiment is named twice, or fewer than two combinations are in common.
    """
    names = [ranking.experiment for ranking in rankings]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{', '.join(duplicates)} is named twice; name different experiments")
    tables = [_complete_rows(ranking) for ranking in rankings]
    shared = sorted(set.intersection(*(set(table) for table in tables)))
    if len(shared) < 2:
        joined = ", ".join(names)
        raise BadInput(f"{joined} have fewer than two combinations with results in common")
    places = [
        _places(ranking, [table[name] for name in shared])
        for ranking, table in zip(rankings, tables, strict=True)
    ]
    ranks = np.array([[position[name].rank for name in shared] for position in places])
    rows = [_row(tables[0][name], [position[name] for position in places]) for name in shared]
    all_names = {row.combination for ranking in rankings for row in ranking.combinations}
    return Across(
        experiments=tuple(names),
        combinations=tuple(sorted(rows, key=lambda row: (row.mean_rank, row.combination))),
        has_schedules=any(ranking.has_schedules for ranking in rankings),
        left_out=tuple(sorted(all_names - set(shared))),
        yardstick=rankings[0].yardstick,
        alpha=rankings[0].alpha,
        concordance=_finite(concordance(ranks)),
        correlations=tuple(tuple(map(_finite, line)) for line in rank_correlations(ranks).tolist()),
        **_rank_tests(ranks, rankings[0].alpha),
    )


def _complete_rows(ranking: Ranking) -> dict[str, Row]:
    """Return the rows with a result and no failed seed, by name."""
    rows = ranking.combinations
    return {r.combination: r for r in rows if r.mean is not None and not r.seeds_failed}


def _places(ranking: Ranking, rows: Sequence[Row]) -> Mapping[str, Place]:
    """Rank the shared rows of one experiment."""
    sign = -1.0 if ranking.smaller_is_better else 1.0
    ordered = sorted(rows, key=lambda row: -sign * (row.mean or 0.0))
    inferred, _ = infer(ordered, ranking.method)
    [ranks] = average_ranks(np.array([[sign * (row.mean or 0.0) for row in inferred]]))
    return {
        row.combination: Place(
            rank=float(rank),
            mean=row.mean or 0.0,
            rank_low=row.rank_low,
            rank_high=row.rank_high,
            in_best_group=row.in_best_group if row.rank_low is not None else None,
            may_be_best=row.may_be_best,
        )
        for row, rank in zip(inferred, ranks, strict=True)
    }


def _row(row: Row, places: Sequence[Place]) -> AcrossRow:
    return AcrossRow(
        combination=row.combination,
        loss=row.loss,
        optimizer=row.optimizer,
        schedule=row.schedule,
        mean_rank=sum(position.rank for position in places) / len(places),
        best_groups=sum(position.in_best_group is True for position in places),
        may_be_best=sum(position.may_be_best is True for position in places),
        holds_place=_holds(places),
        places=tuple(places),
    )


def _holds(places: Sequence[Place]) -> bool | None:
    """Return whether some rank lies in the intervals of all experiments."""
    lows = [position.rank_low for position in places if position.rank_low is not None]
    highs = [position.rank_high for position in places if position.rank_high is not None]
    return None if len(lows) < len(places) else max(lows) <= min(highs)


def _rank_tests(ranks: Floats, alpha: float) -> Mapping[str, float | None]:
    """Test for differences of mean ranks; those of pairs only if there are enough experiments."""
    tested = {"p_equal_ranks": _finite(p_equal_ranks(ranks))}
    if len(ranks) < ENOUGH_EXPERIMENTS:
        return tested
    return {**tested, "critical_difference": critical_difference(ranks, alpha)}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
