"""A table in CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Line = Mapping[str, Any]


def csv_table(lines: Sequence[Line], first: Iterable[str]) -> str:
    """Return lines as CSV; a column that a line does not have is empty in it.

    Settings, whose names have a dot, come last, in alphabetical order.
    """
    names = dict.fromkeys((*first, *(name for line in lines for name in line)))
    ordered = [n for n in names if "." not in n] + sorted(n for n in names if "." in n)
    text = io.StringIO()
    writer = csv.DictWriter(text, ordered, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()
