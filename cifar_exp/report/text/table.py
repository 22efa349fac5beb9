"""A ranking as a table for the terminal."""

from __future__ import annotations

import math

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import Row
from cifar_exp.components.metrics.metrics import Metric
from cifar_exp.system.formatting import duration

LEFT = "combination"


def headers(ranking: Ranking) -> tuple[str, ...]:
    """Return the column headers of `cells`."""
    return (
        "rank",
        LEFT,
        ranking.method.measure.label,
        "may be best",
        "P best",
        "ranks",
        "lr",
        "batch size",
        "time",
    )


def cells(ranking: Ranking, row: Row) -> tuple[str, ...]:
    """Format a row of a ranking for the table, in the order of `headers`."""
    return (
        _text(row.rank, "d"),
        row.combination,
        mean_text(ranking, row),
        {True: "yes", False: "no", None: "-"}[row.may_be_best],
        _text(row.p_best, ".2f"),
        _ranks(row),
        _rate(row),
        _text(row.batch_size, "d"),
        duration(row.seconds),
    )


def mean_text(ranking: Ranking, row: Row) -> str:
    """Format a mean with its interval, if there is one."""
    if row.mean is None:
        return "no result"
    measure = ranking.method.measure
    interval = interval_text(measure, row, even=" ± {half}", cut=" ({low} to {high})")
    return f"{measure.text(row.mean)}{interval}{measure.unit}"


def interval_text(measure: Metric, row: Row, *, even: str, cut: str) -> str:
    """Format the interval of a mean; empty if there is none.

    Args:
        measure: The metric of the mean.
        row: A combination with a mean.
        even: The text with the half-width of the interval as `{half}`.
        cut: The text with `{low}` and `{high}`, for an interval that ends at a bound of the metric.
    """
    mean, low, high = row.mean, row.interval_low, row.interval_high
    if mean is None or low is None or high is None:
        return ""
    is_even = math.isclose(mean - low, high - mean, rel_tol=1e-6, abs_tol=1e-9)
    form = even if is_even else cut
    return form.format(
        half=measure.text(high - mean), low=measure.text(low), high=measure.text(high)
    )


def _rate(row: Row) -> str:
    """Format the best learning rate, and the lowest and highest of the studies if they differ."""
    best, rates = _text(row.lr, ".2g"), [study.lr for study in row.study_results]
    if len(set(rates)) < 2:
        return best
    return f"{best} ({min(rates):.2g}-{max(rates):.2g})"


def _ranks(row: Row) -> str:
    if row.rank_low is None or row.rank_high is None:
        return "-"
    return f"{row.rank_low}" if row.rank_low == row.rank_high else f"{row.rank_low}-{row.rank_high}"


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
