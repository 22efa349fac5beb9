"""A comparison of several experiments as a table, sentences, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from cifar_exp.comparison.across import ENOUGH_EXPERIMENTS, Across, AcrossRow, Place
from cifar_exp.report.text.document import json_document
from cifar_exp.report.text.latex import latex_table
from cifar_exp.report.text.markdown import markdown_table
from cifar_exp.report.text.table import LEFT
from cifar_exp.report.text.yardstick import scaling_across
from cifar_exp.system.formatting import listed

NOT_KNOWN = "-"


def across_headers(across: Across) -> tuple[str, ...]:
    """Return the column headers of `across_cells`."""
    return ("mean rank", LEFT, *across.experiments, "may be best", "holds")


def across_cells(across: Across, row: AcrossRow) -> tuple[str, ...]:
    """Format a combination for the table, in the order of `across_headers`."""
    return (
        f"{row.mean_rank:.2f}",
        row.combination,
        *(_place(across, position) for position in row.places),
        f"{row.may_be_best} of {len(row.places)}",
        {True: "yes", False: "no", None: NOT_KNOWN}[row.holds_place],
    )


def across_sentences(across: Across) -> list[str]:
    """Return the sentences below the table: the first, agreement, stable ranks and the test."""
    writers = (_first, scaling_across, _agreement, _holding, _difference, _left_out)
    return [text for text in (write(across) for write in writers) if text]


def across_json(across: Across) -> str:
    """Format a comparison as JSON, with the sentences below its table."""
    return json_document(across, across_sentences(across))


def across_csv(across: Across) -> str:
    """Format a comparison as CSV, with one line per combination and experiment."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = ("rank", "mean", "rank_low", "rank_high", "in_best_group", "may_be_best")
    schedule = ("schedule",) if across.has_schedules else ()
    of_row = ("combination", "loss", "optimizer", *schedule, "mean_rank")
    writer.writerow((*of_row, "experiment", *fields))
    for row in across.combinations:
        known = [getattr(row, field) for field in of_row]
        for name, position in zip(across.experiments, row.places, strict=True):
            writer.writerow((*known, name, *(getattr(position, field) for field in fields)))
    return text.getvalue()


def across_markdown(across: Across) -> str:
    """Format a comparison as a Markdown table, with its sentences as a list below."""
    lines = [across_cells(across, row) for row in across.combinations]
    return markdown_table(across_headers(across), lines, across_sentences(across))


def across_latex(across: Across) -> str:
    """Format a comparison as a LaTeX table, with its sentences as comments above."""
    lines = [across_cells(across, row) for row in across.combinations]
    return latex_table(across_headers(across), lines, across_sentences(across))


def _place(across: Across, position: Place) -> str:
    return f"{position.rank:g} ({across.measure.text(position.mean)}{across.measure.unit})"


def _first(across: Across) -> str:
    first, *_ = across.combinations
    count = len(across.experiments)
    return (
        f"{first.combination} has the best mean rank, {first.mean_rank:.2f} of "
        f"{len(across.combinations)}, and may be the best in {first.may_be_best} of "
        f"{count} experiments."
    )


def _agreement(across: Across) -> str:
    if across.concordance is None:
        return ""
    names = across.experiments
    pairs = [
        (tau, f"{names[a]} and {names[b]} {tau:+.2f}")
        for a, line in enumerate(across.correlations)
        for b, tau in enumerate(line)
        if a < b and tau is not None
    ]
    ends = [min(pairs)[1], max(pairs)[1]] if len(pairs) > 1 else [text for _, text in pairs]
    return (
        f"Agreement of the orders: Kendall's W {across.concordance:.2f} (1 is full agreement); "
        f"rank correlation tau-b {', '.join(ends)}."
    )


def _holding(across: Across) -> str:
    rows = across.combinations
    holding = [row.combination for row in rows if row.holds_place]
    moving = [row.combination for row in rows if row.holds_place is False]
    if not holding and not moving:
        return "The seeds show no spread, so the stability of ranks is not known."
    return (
        f"Keep their rank (one rank lies in the 90 % intervals of all experiments): "
        f"{_listed(holding)}. Do not: {_listed(moving)}."
    )


def _difference(across: Across) -> str:
    p_value = (
        ""
        if across.p_equal_ranks is None
        else f"Equal mean ranks: permutation test p = {across.p_equal_ranks:.2g}. "
    )
    if across.critical_difference is None:
        return (
            f"{p_value}{len(across.experiments)} experiments are too few to test differences of "
            f"mean ranks; the test needs {ENOUGH_EXPERIMENTS}."
        )
    first, *others = across.combinations
    limit = first.mean_rank + across.critical_difference + 1e-9
    near = [row.combination for row in others if row.mean_rank <= limit]
    return (
        f"{p_value}Mean ranks differ at level {across.alpha:g} if they lie more than "
        f"{across.critical_difference:.2f} apart (all pairs, permutations); not distinguishable "
        f"from the first: {_listed(near)}."
    )


def _left_out(across: Across) -> str:
    if not across.left_out:
        return ""
    return f"Omitted, as some experiment has no complete result: {_listed(across.left_out)}."


def _listed(names: Iterable[str]) -> str:
    return listed(names) or "none"
