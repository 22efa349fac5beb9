"""A line of text on a console."""

from __future__ import annotations

from rich.console import Console


def print_line(console: Console, text: str) -> None:
    """Print a text as it is: without markup, colours or line breaks of Rich."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
