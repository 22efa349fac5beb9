"""The factors of a comparison: what its combinations consist of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from cifar_exp.comparison.row import Row

Factor = Literal["loss", "optimizer", "schedule"]
FACTORS: tuple[Factor, ...] = ("loss", "optimizer", "schedule")


def factors_of(rows: Iterable[Row]) -> tuple[Factor, ...]:
    """Return the factors of rows: loss and optimizer and, if there are several, the schedule."""
    several = len({row.schedule for row in rows}) > 1
    return FACTORS if several else FACTORS[:-1]


def level(row: Row, factor: Factor) -> str:
    """Return the loss, optimizer or schedule of a row."""
    found: str = getattr(row, factor)
    return found
