"""The table of a ranking with its first sentences, for a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from cifar_exp.comparison import Ranking
from cifar_exp.comparison.across import Across
from cifar_exp.report.figures.colours import palette
from cifar_exp.report.html.tables import Line, Table, ranking_table
from cifar_exp.report.text.across import across_cells, across_headers, across_sentences
from cifar_exp.report.text.next_step import next_step
from cifar_exp.report.text.sentences import verdict, warnings


def excerpt(ranking: Ranking) -> str:
    """Return the table of a ranking, the verdict, the next step and warnings as HTML."""
    texts = [verdict(ranking), next_step(ranking), *warnings(ranking)]
    return _rendered(ranking_table(ranking, palette(ranking)), texts)


def excerpt_across(across: Across) -> str:
    """Return the table of a comparison of several experiments and its sentences as HTML."""
    lines = [Line(cells=across_cells(across, row)) for row in across.combinations]
    table = Table(
        name="across",
        caption="Rank (mean) in each experiment.",
        headers=across_headers(across),
        lines=lines,
        head=1,
        text_columns=(1,),
    )
    return _rendered(table, across_sentences(across))


def template(name: str) -> Template:
    """Return a template of this folder, in which all text is escaped."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template(f"{name}.html.jinja")


def with_code(text: str) -> Markup:
    """Return escaped text in which what stands between backticks is code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _rendered(table: Table, texts: Iterable[str]) -> str:
    sentences = [with_code(text) for text in texts if text]
    return template("excerpt").render(ranked=table, sentences=sentences)
