"""A ranking as JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from cifar_exp.comparison.ranking import Ranking
from cifar_exp.comparison.row import Row
from cifar_exp.report.text.sentences import sentences
from cifar_exp.report.text.table import LEFT, cells, headers

# Nested tables of a row, which only JSON can hold.
NESTED = ("trial_results", "confirmation_results", "lr_response", "time_to_target", "study_results")


def to_json(ranking: Ranking) -> str:
    """Format a ranking as JSON, with the sentences below its table."""
    document = {**asdict(ranking), "sentences": sentences(ranking)}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def to_csv(ranking: Ranking) -> str:
    """Format a ranking as CSV with a header; the items of a list are separated by spaces."""
    text = io.StringIO()
    names = [field.name for field in fields(Row) if field.name not in NESTED]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in ranking.combinations:
        writer.writerow({name: _flat(getattr(row, name)) for name in names})
    return text.getvalue()


def to_markdown(ranking: Ranking) -> str:
    """Format a ranking as a Markdown table, with its sentences as a list below."""
    names = headers(ranking)
    lines = [names, tuple("---" if name == LEFT else "---:" for name in names)]
    lines += [cells(ranking, row) for row in ranking.combinations]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    points = "".join(f"- {text}\n" for text in sentences(ranking))
    return f"{table}\n{points}" if points else table


def _flat(value: Any) -> Any:
    """Format a tuple or mapping as one cell."""
    match value:
        case tuple():
            return " ".join(map(str, value))
        case Mapping():
            return " ".join(f"{name}={item}" for name, item in value.items())
    return value
