"""Tables; in a terminal that is too narrow for one, the same as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import chain

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cifar_exp.system.output import spelled

Cells = Sequence[str]


def print_table(
    console: Console, title: str, headers: Cells, rows: Sequence[Cells], *, left: str
) -> None:
    """Print a table, see `fitting`."""
    console.print(fitting(console, title, headers, rows, left=left), soft_wrap=True)


def fitting(
    console: Console, title: str, headers: Cells, rows: Sequence[Cells], *, left: str
) -> Table | Text:
    """Return a table whose cells are never folded or cut, to be printed.

    If it is too wide, each word of a header has its own line. If it is still too wide, each row is
    a paragraph instead.

    Args:
        console: The console that it is for.
        title: The title.
        headers: The headers of the columns.
        rows: The cells of each row.
        left: The header of the only column that is aligned to the left. Up to this column, the
            cells name the row.
    """
    title, *headers = _spelled(console, (title, *headers))
    rows = [_spelled(console, row) for row in rows]
    num_names = headers.index(left) + 1
    for heads in (headers, [header.replace(" ", "\n") for header in headers]):
        if _width([heads, *rows]) <= console.width:
            return _table(title, heads, rows, num_names - 1)
    return _paragraphs(console.width, title, headers, rows, num_names)


def _spelled(console: Console, cells: Cells) -> list[str]:
    return [spelled(cell, console.encoding) for cell in cells]


def _width(rows: Sequence[Cells]) -> int:
    """Return the width of a table, with its spaces between columns and at both edges."""
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n"))
        for column in zip(*rows, strict=True)
    ]
    return sum(widths) + len(widths) + 1


def _table(title: str, headers: Cells, rows: Sequence[Cells], left: int) -> Table:
    table = Table(title=escape(title), title_justify="left", box=SIMPLE_HEAD, padding=0)
    for number, header in enumerate(headers):
        justify: JustifyMethod = "left" if number == left else "right"
        table.add_column(escape(header), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _paragraphs(
    width: int, title: str, headers: Cells, rows: Sequence[Cells], num_names: int
) -> Text:
    paragraphs = [title]
    for row in rows:
        pairs = zip(headers[num_names:], row[num_names:], strict=True)
        values = ", ".join(f"{header} {cell}" for header, cell in pairs)
        paragraphs.append(f"{' '.join(row[:num_names])}: {values}")
    wrapped = (textwrap.wrap(text, width, subsequent_indent="  ") for text in paragraphs)
    return Text("\n".join([*chain.from_iterable(wrapped), ""]))
