"""What a report shows beside the ranking itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cifar_exp.comparison import Curves
from cifar_exp.components.metrics.predictions import Predictions


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Of each combination, by its name: epochs and predictions of its confirmations.

    What a store does not hold is left out, and the report then says so.
    """

    curves: Curves = field(default_factory=dict)
    predictions: Mapping[str, Sequence[Predictions]] = field(default_factory=dict)
