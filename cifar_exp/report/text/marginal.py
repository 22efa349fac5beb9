"""The levels of one factor as a table, sentences, JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io

from cifar_exp.comparison.marginal import Level, Marginal
from cifar_exp.comparison.statistics.paired import PairedDifference
from cifar_exp.report.text.document import json_document
from cifar_exp.report.text.latex import latex_table
from cifar_exp.report.text.markdown import markdown_table
from cifar_exp.system.formatting import listed, plural

NOT_KNOWN = "-"


def marginal_headers(found: Marginal) -> tuple[str, ...]:
    """Return the column headers of `marginal_lines`."""
    return (found.factor, found.measure.label, "best in", "worse by", "interval", "p")


def marginal_lines(found: Marginal) -> list[tuple[str, ...]]:
    """Return one line per level, in the order of `marginal_headers`."""
    return [_line(found, level) for level in found.levels]


def marginal_sentences(found: Marginal) -> list[str]:
    """Return sentences on what is compared, and what the differences mean."""
    first = found.levels[0]
    number = len(found.blocks)
    within = _within(found)
    sentences = [
        f"{first.name} has the best mean over the same {within} ({listed(found.blocks)}), and is "
        f"the best in {first.best_in} of {number}.",
        f"worse by: difference to {first.name}, paired by {within}, with "
        f"{100 * (1 - found.alpha):g} % t intervals that hold for all pairs of "
        f"{plural(found.factor)} together (Bonferroni). The {number} are taken as a sample: the "
        "intervals are about others like them, contain the luck of tuning, and are wide if the "
        f"best {found.factor} depends on the {' and the '.join(found.others)}.",
    ]
    if number < 2:
        sentences[1:] = ["With one of them there is no estimate of an error."]
    if found.left_out:
        left_out = listed(found.left_out)
        sentences.append(f"Omitted, as some {found.factor} has no complete result: {left_out}.")
    return sentences


def marginal_json(found: Marginal) -> str:
    """Format a comparison as JSON, with its sentences."""
    return json_document(found, marginal_sentences(found))


def marginal_csv(found: Marginal) -> str:
    """Format a comparison as CSV, with one line per level."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((found.factor, "mean", "best_in", "blocks", "difference", "low", "high", "p"))
    for level in found.levels:
        d = level.difference
        known = (None,) * 4 if d is None else (d.mean, d.low, d.high, d.p)
        writer.writerow((level.name, level.mean, level.best_in, len(found.blocks), *known))
    return text.getvalue()


def marginal_markdown(found: Marginal) -> str:
    """Format a comparison as a Markdown table, with its sentences as a list below."""
    headers, lines = marginal_headers(found), marginal_lines(found)
    return markdown_table(headers, lines, marginal_sentences(found), left=found.factor)


def marginal_latex(found: Marginal) -> str:
    """Format a comparison as a LaTeX table, with its sentences as comments above."""
    headers, lines = marginal_headers(found), marginal_lines(found)
    return latex_table(headers, lines, marginal_sentences(found), left=found.factor)


def _line(found: Marginal, level: Level) -> tuple[str, ...]:
    best_in = f"{level.best_in} of {len(found.blocks)}"
    mean = f"{found.measure.text(level.mean)}{found.measure.unit}"
    return (level.name, mean, best_in, *_difference(found, level.difference))


def _difference(found: Marginal, difference: PairedDifference | None) -> tuple[str, str, str]:
    if difference is None:
        return (NOT_KNOWN, NOT_KNOWN, NOT_KNOWN)
    ends = [found.measure.text(end) for end in (difference.low, difference.high) if end is not None]
    p = NOT_KNOWN if difference.p is None else f"{difference.p:.2g}"
    return (found.measure.difference(difference.mean), " to ".join(ends) or NOT_KNOWN, p)


def _within(found: Marginal) -> str:
    return " and ".join(found.others)
