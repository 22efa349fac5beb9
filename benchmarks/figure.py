"""One measured figure, and the table of several figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

Unit = Literal["x", "%", "s", "min", "CPU s", "MB", "images/s", "relative", "elements"]
RATIOS = ("x", "%", "relative", "elements")
FORMATS = {"images/s": ",.0f", "relative": ".1e", "elements": ",.0f"}
"""The format of values, by unit; values of other units have two decimals."""
WIDTH_OF_FILES = 140


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure and its bound; a figure without a bound is for information."""

    name: str
    value: float
    unit: Unit
    at_least: float | None = None
    at_most: float | None = None
    detail: str = ""
    aim: float | None = None
    """A goal for later versions, stricter than the bound."""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return f"{self.value:{FORMATS.get(self.unit, '.2f')}} {self.unit}"

    @property
    def bound(self) -> str:
        """The bound, as shown in the table."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return ", ".join(f"{sign} {self._short(b)}" for sign, b in bounds if b is not None)

    @property
    def aim_text(self) -> str:
        """The aim, as shown in a table."""
        return "" if self.aim is None else self._short(self.aim)

    def _short(self, bound: float) -> str:
        return f"{bound:,.0f}" if self.unit == "images/s" else f"{bound:g}"

    @property
    def kept(self) -> bool:
        """Whether the figure keeps its bound."""
        least, most = self.at_least, self.at_most
        return (least is None or self.value >= least) and (most is None or self.value <= most)

    @property
    def aim_reached(self) -> bool:
        """Whether the figure keeps its bound and reaches its aim."""
        if self.aim is None or not self.kept:
            return False
        return self.value >= self.aim if self.at_most is None else self.value <= self.aim

    @property
    def verdict(self) -> str:
        """The verdict in the table."""
        if not self.bound:
            return "for information"
        return "pass" if self.kept else "FAIL"

    @property
    def counts(self) -> bool:
        """Whether a broken bound fails the run: only ratios, which depend little on the machine."""
        return self.unit in RATIOS


def show(figures: Iterable[Figure]) -> int:
    """Print the figures as one table; return the exit code, 1 if a ratio breaks its bound."""
    shown = list(figures)
    table = Table("figure", "value", "bound", "verdict", "detail")
    for figure in shown:
        table.add_row(figure.name, figure.text, figure.bound, figure.verdict, figure.detail)
    console_for_tables().print(table)
    return int(any(figure.counts and not figure.kept for figure in shown))


def console_for_tables() -> Console:
    """Return the console; without a terminal, its width is large enough for the table."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_FILES)
