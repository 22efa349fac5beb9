"""The difference of two combinations as a table, sentences, JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io

from cifar_exp.comparison.method import YARDSTICKS
from cifar_exp.comparison.pair import Pair
from cifar_exp.comparison.statistics.paired import PairedDifference
from cifar_exp.report.text.document import json_document
from cifar_exp.report.text.latex import latex_table
from cifar_exp.report.text.markdown import markdown_table
from cifar_exp.system.formatting import counted

METRIC = "metric"
HEADERS = (METRIC, "difference", "interval", "p", "replicates")


def pair_lines(pair: Pair) -> list[tuple[str, ...]]:
    """Return one line per metric: the difference with its interval, in the order of `HEADERS`."""
    return [_line(name, found) for name, found in pair.differences.items()]


def pair_sentences(pair: Pair) -> list[str]:
    """Return sentences on the settings that differ, the meaning of differences, and the images."""
    settings = [f"{name} {one} | {other}" for name, (one, other) in pair.settings.items()]
    level = f"{100 * (1 - pair.alpha):g} %"
    return [
        f"Settings of {pair.first} | {pair.second}: {'; '.join(settings)}.",
        f"difference: {pair.first} minus {pair.second}, paired by {pair.replicates}, with the "
        f"{level} t interval and the p-value of this one pair; chosen after a look at the "
        "ranking, both are too optimistic.",
        *_images(pair),
    ]


def pair_json(pair: Pair) -> str:
    """Format a difference as JSON, with its sentences."""
    return json_document(pair, pair_sentences(pair))


def pair_csv(pair: Pair) -> str:
    """Format a difference as CSV, with one line per metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("first", "second", "metric", "difference", "low", "high", "p", "replicates"))
    for name, d in pair.differences.items():
        writer.writerow((pair.first, pair.second, name, d.mean, d.low, d.high, d.p, d.size))
    return text.getvalue()


def pair_markdown(pair: Pair) -> str:
    """Format a difference as a Markdown table, with its sentences as a list below."""
    return markdown_table(HEADERS, pair_lines(pair), pair_sentences(pair), left=METRIC)


def pair_latex(pair: Pair) -> str:
    """Format a difference as a LaTeX table, with its sentences as comments above."""
    return latex_table(HEADERS, pair_lines(pair), pair_sentences(pair), left=METRIC)


def _line(name: str, found: PairedDifference) -> tuple[str, ...]:
    measure = YARDSTICKS[name]
    known = found.low is not None and found.high is not None
    ends = [measure.text(end) for end in (found.low, found.high) if end is not None]
    return (
        measure.label,
        measure.difference(found.mean),
        " to ".join(ends) if known else "-",
        "-" if found.p is None else f"{found.p:.2g}",
        str(found.size),
    )


def _images(pair: Pair) -> list[str]:
    found = pair.images
    if found is None:
        return ["There are no predictions of both on the same test images."]
    test = "exact McNemar test of these two networks"
    tested = "" if found.p is None else f" ({test}: p = {found.p:.2g})"
    return [
        f"Of {counted(found.num_images, 'test image')}, only {pair.first} is right on "
        f"{100 * found.only_first:.2f} % and only {pair.second} on {100 * found.only_second:.2f} %"
        f", as means over their networks{tested}."
    ]
