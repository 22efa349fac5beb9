"""Tables for papers: LaTeX with the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cifar_exp.report.text.table import LEFT

ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "_%&#${}"},
    "±": r"$\pm$",
}


def escape(text: str) -> str:
    """Return text as LaTeX that prints it, with the dashes of ranges and negative numbers.

    Only a cell without letters is a number or a range; a name keeps its hyphens.
    """
    escaped = "".join(ESCAPED.get(letter, letter) for letter in text)
    if any(letter.isalpha() for letter in text):
        return escaped
    ranges = re.sub(r"(?<=\d)-(?=\d)", "--", escaped)
    return re.sub(r"(?<![\w-])-(?=\d)", "$-$", ranges)


def latex_table(
    headers: Sequence[str],
    lines: Iterable[Sequence[str]],
    comments: Iterable[str] = (),
    left: str = LEFT,
) -> str:
    """Return a tabular of booktabs, column `left` left-aligned, the other columns right-aligned.

    Args:
        headers: One text per column.
        lines: The cells of each row.
        comments: Lines that LaTeX does not print, above the table.
        left: A header.
    """
    columns = "".join("l" if name == left else "r" for name in headers)
    return "".join(
        (
            "% needs \\usepackage{booktabs}\n",
            *(f"% {comment}\n" for comment in comments),
            f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{_line(headers)}\\midrule\n",
            *map(_line, lines),
            "\\bottomrule\n\\end{tabular}\n",
        )
    )


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(map(escape, cells))} \\\\\n"
