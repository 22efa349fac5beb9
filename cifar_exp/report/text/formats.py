"""A ranking as JSON, Markdown and LaTeX."""

from __future__ import annotations

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.report.text.document import json_document
from cifar_exp.report.text.latex import latex_table
from cifar_exp.report.text.markdown import markdown_table
from cifar_exp.report.text.sentences import sentences
from cifar_exp.report.text.table import cells, headers


def to_json(ranking: Ranking) -> str:
    """Format a ranking as JSON, with the sentences below its table."""
    return json_document(ranking, sentences(ranking))


def to_markdown(ranking: Ranking) -> str:
    """Format a ranking as a Markdown table, with its sentences as a list below."""
    lines = [cells(ranking, row) for row in ranking.combinations]
    return markdown_table(headers(ranking), lines, sentences(ranking))


def to_latex(ranking: Ranking) -> str:
    """Format a ranking as a LaTeX table, with its sentences as comments above."""
    lines = [cells(ranking, row) for row in ranking.combinations]
    return latex_table(headers(ranking), lines, sentences(ranking))
