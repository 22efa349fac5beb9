"""Tables with sentences below in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cifar_exp.report.text.table import LEFT


def markdown_table(
    headers: Sequence[str],
    lines: Iterable[Sequence[str]],
    sentences: Sequence[str],
    left: str = LEFT,
) -> str:
    """Return a table, column `left` left-aligned, with the sentences as a list below."""
    rule = ["---" if name == left else "---:" for name in headers]
    table = "".join(f"| {' | '.join(line)} |\n" for line in (headers, rule, *lines))
    points = "".join(f"- {text}\n" for text in sentences)
    return f"{table}\n{points}" if points else table
