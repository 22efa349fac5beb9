"""Tables of simulated numbers in Markdown, as they stand in docs/method.md."""

from __future__ import annotations


def print_header(*names: str) -> None:
    """Begin a table of numbers."""
    print()
    print_row(*names)
    print("|" + "---:|" * len(names))


def print_row(*texts: object) -> None:
    """Print a row of a table."""
    print(f"| {' | '.join(map(str, texts))} |", flush=True)


def percent(share: float) -> str:
    """Format a share in % with one digit."""
    return f"{100 * share:.1f}"
