"""What differs between two combinations of a ranking: settings and yardsticks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from cifar_exp.comparison.factors import FACTORS, level
from cifar_exp.comparison.method import YARDSTICKS
from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.statistics.paired import (
    ImageDifference,
    PairedDifference,
    paired_difference,
)
from cifar_exp.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two combinations, and how they differ."""

    first: str
    second: str
    replicates: str
    """What the differences are paired by: "seeds" or "studies"."""
    alpha: float
    settings: Mapping[str, tuple[str, str]]
    """The settings that differ, with both values; of several studies each value once."""
    differences: Mapping[str, PairedDifference]
    """By test metric, first minus second."""
    images: ImageDifference | None = None
    """From the predictions on the test images; None if there are none."""


def pair(ranking: Ranking, first: str, second: str, images: ImageDifference | None = None) -> Pair:
    """Return how two combinations of a ranking differ.

    Args:
        ranking: The ranking.
        first: A combination.
        second: Another one.
        images: Their difference on the test images.

    Raises:
        BadInput: The ranking has no such combination, or both are the same.
    """
    rows = (_row(ranking, first), _row(ranking, second))
    if first == second:
        raise BadInput(f"{first} cannot be compared with itself")
    settings = [_settings(row) for row in rows]
    one, other = (_values(row, by_study=ranking.replicates == "studies") for row in rows)
    names = [name for name in YARDSTICKS if name in one and name in other]
    found = {name: _difference(name, one[name], other[name], ranking.alpha) for name in names}
    return Pair(
        first=first,
        second=second,
        replicates=ranking.replicates,
        alpha=ranking.alpha,
        settings={
            name: (settings[0].get(name, "-"), settings[1].get(name, "-"))
            for name in dict.fromkeys((*settings[0], *settings[1]))
            if settings[0].get(name) != settings[1].get(name)
        },
        differences={name: value for name, value in found.items() if value is not None},
        images=images,
    )


def _row(ranking: Ranking, name: str) -> Row:
    names = {row.combination: row for row in ranking.combinations}
    if name not in names:
        raise BadInput(f"there is no combination {name!r}; there are {', '.join(names)}")
    return names[name]


def _settings(row: Row) -> dict[str, str]:
    """Return the settings of a combination; those of several studies joined by commas."""
    chosen: Sequence[Mapping[str, str]] = [
        {"lr": f"{s.lr:.4g}", "batch_size": str(s.batch_size), **s.settings}
        for s in row.study_results
    ]
    names = dict.fromkeys(name for settings in chosen for name in settings)
    joined = {
        name: ", ".join(dict.fromkeys(settings[name] for settings in chosen if name in settings))
        for name in names
    }
    return {**{factor: level(row, factor) for factor in FACTORS}, **joined}


def _values(row: Row, *, by_study: bool) -> dict[str, dict[int, float]]:
    """Return the value of each replicate by metric and number: of a study, its mean."""
    grouped: dict[str, dict[int, list[float]]] = {}
    for result in row.confirmation_results:
        number = result.study if by_study else result.number
        for name, value in result.metrics.items() if number not in row.lost_seeds else ():
            grouped.setdefault(name, {}).setdefault(number, []).append(value)
    return {
        name: {number: fmean(values) for number, values in replicates.items()}
        for name, replicates in grouped.items()
    }


def _difference(
    metric: str, first: Mapping[int, float], second: Mapping[int, float], alpha: float
) -> PairedDifference | None:
    common = sorted(first.keys() & second.keys())
    one, other = ([values[n] for n in common] for values in (first, second))
    return paired_difference(one, other, alpha, YARDSTICKS[metric].range)
