"""Formatting of times, sizes, numbers of things and errors for messages."""

from collections.abc import Iterable

LONGEST_LIST = 8


def duration(seconds: float) -> str:
    """Format a time: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float) -> str:
    """Format a number of bytes: `40 MB`, `3.5 GB`."""
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:.1f} GB"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural if needed: `1 seed`, `2 seeds`, `3 studies`."""
    return f"{number} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a noun: `seeds`, `studies`, `classes`, `batches`."""
    if noun.endswith("y"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "tch")) else f"{noun}s"


def listed(names: Iterable[str], most: int = LONGEST_LIST) -> str:
    """Join names with commas, the first ones and the number of the others if there are many."""
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def printable(text: str) -> str:
    """Escape what is not printable: line breaks, control characters, bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, for the user."""
    return str(error).strip().partition("\n")[0]
