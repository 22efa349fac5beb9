"""Tables for papers: LaTeX with the package booktabs."""

from __future__ import annotations

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
    """Return text as LaTeX that prints it."""
    return "".join(ESCAPED.get(letter, letter) for letter in text)


def latex_table(
    headers: Sequence[str], lines: Iterable[Sequence[str]], comments: Iterable[str] = ()
) -> str:
    """Return a tabular of booktabs; `combination` is left-aligned, the other columns right.

    Args:
        headers: One text per column.
        lines: The cells of each row.
        comments: Lines that LaTeX does not print, above the table.
    """
    columns = "".join("l" if name == LEFT else "r" for name in headers)
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
