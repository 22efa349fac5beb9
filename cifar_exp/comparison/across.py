"""The same combinations in several experiments: which of them hold their place?"""

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
"""With fewer, two mean ranks can hardly lie a critical difference apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A combination in one experiment, ranked among those that all experiments have."""

    rank: float
    """1 for the best; equal means share their mean rank."""
    mean: float
    rank_low: int | None
    rank_high: int | None
    in_best_group: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AcrossRow:
    """One combination over all experiments."""

    combination: str
    loss: str
    optimizer: str
    mean_rank: float
    best_groups: int
    """Number of experiments in whose best group it is."""
    holds_place: bool | None
    """Whether one rank lies in its intervals of all experiments; None without intervals."""
    places: tuple[Place, ...]
    """In the order of the experiments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Across:
    """Combinations of several experiments, by mean rank."""

    experiments: tuple[str, ...]
    combinations: tuple[AcrossRow, ...]
    left_out: tuple[str, ...] = ()
    """Combinations that some experiment lacks, or has no whole result of."""
    yardstick: str
    alpha: float
    concordance: float | None = None
    """Kendall's W: 1 where all experiments agree on the order."""
    correlations: tuple[tuple[float | None, ...], ...] = ()
    """Kendall's tau-b of every two experiments."""
    p_equal_ranks: float | None = None
    """P-value of all combinations ranking alike (Friedman); None with fewer than 5 experiments."""
    critical_difference: float | None = None
    """By how much mean ranks must differ (Nemenyi); None with fewer than 5 experiments."""

    @property
    def measure(self) -> Metric:
        """The yardstick itself."""
        return YARDSTICKS[self.yardstick]


def across(rankings: Sequence[Ranking]) -> Across:
    """Compare the rankings of several experiments by one yardstick.

    Raises:
        BadInput: One is named twice, or they have fewer than two combinations in common.
    """
    names = [ranking.experiment for ranking in rankings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(f"{', '.join(twice)} is named twice: what agrees with itself says nothing")
    tables = [_whole(ranking) for ranking in rankings]
    shared = sorted(set.intersection(*(set(table) for table in tables)))
    if len(shared) < 2:
        listed = ", ".join(names)
        raise BadInput(f"{listed} have fewer than two combinations with results in common")
    places = [
        _places(ranking, [table[name] for name in shared])
        for ranking, table in zip(rankings, tables, strict=True)
    ]
    ranks = np.array([[position[name].rank for name in shared] for position in places])
    rows = [_row(tables[0][name], [position[name] for position in places]) for name in shared]
    every = {row.combination for ranking in rankings for row in ranking.combinations}
    return Across(
        experiments=tuple(names),
        combinations=tuple(sorted(rows, key=lambda row: (row.mean_rank, row.combination))),
        left_out=tuple(sorted(every - set(shared))),
        yardstick=rankings[0].yardstick,
        alpha=rankings[0].alpha,
        concordance=_known(concordance(ranks)),
        correlations=tuple(tuple(map(_known, line)) for line in rank_correlations(ranks).tolist()),
        **_rank_tests(ranks, rankings[0].alpha),
    )


def _whole(ranking: Ranking) -> dict[str, Row]:
    """Return the rows that have a result and lost no seed, by their names."""
    rows = ranking.combinations
    return {r.combination: r for r in rows if r.mean is not None and not r.seeds_failed}


def _places(ranking: Ranking, rows: Sequence[Row]) -> Mapping[str, Place]:
    """Rank the rows of one experiment among themselves."""
    sign = -1.0 if ranking.smaller_is_better else 1.0
    ordered = sorted(rows, key=lambda row: -sign * (row.mean or 0.0))
    told, _ = infer(ordered, ranking.method)
    [ranks] = average_ranks(np.array([[sign * (row.mean or 0.0) for row in told]]))
    return {
        row.combination: Place(
            rank=float(rank),
            mean=row.mean or 0.0,
            rank_low=row.rank_low,
            rank_high=row.rank_high,
            in_best_group=row.in_best_group if row.rank_low is not None else None,
        )
        for row, rank in zip(told, ranks, strict=True)
    }


def _row(row: Row, places: Sequence[Place]) -> AcrossRow:
    return AcrossRow(
        combination=row.combination,
        loss=row.loss,
        optimizer=row.optimizer,
        mean_rank=sum(position.rank for position in places) / len(places),
        best_groups=sum(position.in_best_group is True for position in places),
        holds_place=_holds(places),
        places=tuple(places),
    )


def _holds(places: Sequence[Place]) -> bool | None:
    """Say whether some rank lies in the intervals of all experiments."""
    lows = [position.rank_low for position in places if position.rank_low is not None]
    highs = [position.rank_high for position in places if position.rank_high is not None]
    return None if len(lows) < len(places) else max(lows) <= min(highs)


def _rank_tests(ranks: Floats, alpha: float) -> Mapping[str, float | None]:
    """Test whether mean ranks differ, where there are enough experiments for that."""
    num_lines, num_ranked = ranks.shape
    if num_lines < ENOUGH_EXPERIMENTS:
        return {}
    return {
        "p_equal_ranks": _known(p_equal_ranks(ranks)),
        "critical_difference": critical_difference(num_ranked, num_lines, alpha),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
