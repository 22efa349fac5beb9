"""The data of a report in addition to the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from cifar_exp.comparison import Curves
from cifar_exp.components.metrics.predictions import Predictions


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Learning curves and predictions of the confirmations by combination, and the date.

    Data that a store does not have is omitted, and the report says so.
    """

    curves: Curves = field(default_factory=dict)
    predictions: Mapping[str, Sequence[Predictions]] = field(default_factory=dict)
    trained: tuple[date, date] | None = None
    """The days on which the first and the last training began, in UTC."""
