"""One measured figure, and the table that shows several of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

Unit = Literal["x", "%", "s", "CPU s", "MB"]
RATIOS = ("x", "%")
WIDTH_OF_FILES = 140


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure with the bound it should keep; without a bound it is there for information."""

    name: str
    value: float
    unit: Unit
    at_least: float | None = None
    at_most: float | None = None
    detail: str = ""

    @property
    def bound(self) -> str:
        """The bound as the table shows it."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return ", ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    @property
    def kept(self) -> bool:
        """Whether the figure keeps its bound."""
        least, most = self.at_least, self.at_most
        return (least is None or self.value >= least) and (most is None or self.value <= most)

    @property
    def verdict(self) -> str:
        """What the table says of the figure."""
        if not self.bound:
            return "for information"
        return "pass" if self.kept else "FAIL"

    @property
    def counts(self) -> bool:
        """Whether a broken bound fails the run: a ratio hardly depends on the machine."""
        return self.unit in RATIOS


def show(figures: Iterable[Figure]) -> int:
    """Print the figures as one table; return the exit code, 1 where a ratio breaks its bound."""
    shown = list(figures)
    table = Table("figure", "value", "bound", "verdict", "detail")
    for figure in shown:
        value = f"{figure.value:.2f} {figure.unit}"
        table.add_row(figure.name, value, figure.bound, figure.verdict, figure.detail)
    console_for_tables().print(table)
    return int(any(figure.counts and not figure.kept for figure in shown))


def console_for_tables() -> Console:
    """Return the terminal; what is no terminal has no width, and gets one that fits the table."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_OF_FILES)
