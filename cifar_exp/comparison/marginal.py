"""The levels of one factor, compared within the same levels of the other factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cifar_exp.comparison.factors import Factor, level
from cifar_exp.comparison.method import YARDSTICKS
from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.statistics.paired import PairedDifference, paired_difference
from cifar_exp.components.metrics.metrics import Metric
from cifar_exp.errors import BadInput

Blocks = Mapping[str, Mapping[str, float]]
"""The mean of each level, by the combination of the other factors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One level of the factor."""

    name: str
    mean: float
    """Mean over the blocks."""
    best_in: int
    """Number of blocks in which no other level is better."""
    difference: PairedDifference | None = None
    """To the first level, positive if worse, paired by block; its interval and p-value hold for all
    pairs of levels together. None for the first level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Marginal:
    """The levels of a factor in the order of their means.

    A block is a combination of the other factors in which every level has a result.
    """

    experiment: str
    factor: Factor
    others: tuple[Factor, ...]
    """The factors of a block."""
    yardstick: str
    alpha: float
    levels: tuple[Level, ...]
    blocks: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Combinations of the other factors in which some level has no complete result."""

    @property
    def measure(self) -> Metric:
        """The metric of the yardstick."""
        return YARDSTICKS[self.yardstick]


def marginal(ranking: Ranking, factor: Factor) -> Marginal:
    """Compare the levels of a factor over all combinations of the other factors.

    The first level is chosen by the results, so the intervals hold for all pairs of levels
    (Bonferroni). They are t intervals over the blocks, between which vary the luck of
    tuning and the effect of the factor.

    Raises:
        BadInput: The factor has one level, or no block is complete.
    """
    names = sorted({level(row, factor) for row in ranking.combinations})
    if len(names) < 2:
        only = "".join(f" than {name}" for name in names)
        raise BadInput(f"there is no other {factor}{only} to compare")
    others = tuple(other for other in ranking.factors if other != factor)
    every = _blocks(ranking, factor, others)
    blocks = {block: means for block, means in every.items() if len(means) == len(names)}
    if not blocks:
        raise BadInput(f"no {' and '.join(others)} has a complete result with every {factor}")
    sign = 1.0 if ranking.smaller_is_better else -1.0
    best = {block: min(sign * mean for mean in means.values()) for block, means in blocks.items()}
    values = {name: [means[name] for means in blocks.values()] for name in names}
    first, *rest = sorted(names, key=lambda name: (sign * fmean(values[name]), name))
    found = [
        Level(
            name=name,
            mean=fmean(values[name]),
            best_in=sum(sign * means[name] == best[block] for block, means in blocks.items()),
            difference=None
            if name == first
            else _worse_by(values[name], values[first], sign, len(names), ranking),
        )
        for name in (first, *rest)
    ]
    return Marginal(
        experiment=ranking.experiment,
        factor=factor,
        others=others,
        yardstick=ranking.yardstick,
        alpha=ranking.alpha,
        levels=tuple(found),
        blocks=tuple(blocks),
        left_out=tuple(block for block in every if block not in blocks),
    )


def _blocks(ranking: Ranking, factor: Factor, others: Sequence[Factor]) -> Blocks:
    """Return the complete results; a mean that lacks seeds is biased, so it does not count."""
    blocks: dict[str, dict[str, float]] = {}
    for row in sorted(ranking.combinations, key=lambda row: row.combination):
        means = blocks.setdefault("+".join(level(row, other) for other in others), {})
        if row.mean is not None and not row.seeds_failed:
            means[level(row, factor)] = row.mean
    return blocks


def _worse_by(
    values: Sequence[float],
    first: Sequence[float],
    sign: float,
    num_levels: int,
    ranking: Ranking,
) -> PairedDifference | None:
    pairs = num_levels * (num_levels - 1) // 2
    one, other = ([sign * value for value in of_level] for of_level in (values, first))
    largest = YARDSTICKS[ranking.yardstick].range
    found = paired_difference(one, other, ranking.alpha / pairs, largest)
    if found is None or found.p is None:
        return found
    return PairedDifference(
        mean=found.mean,
        low=found.low,
        high=found.high,
        p=min(1.0, pairs * found.p),
        size=found.size,
    )
