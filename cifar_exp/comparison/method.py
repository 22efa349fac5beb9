"""The method of a comparison: yardstick, error level and region of practical equivalence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cifar_exp.components.metrics.metrics import METRICS, Metric
from cifar_exp.components.validation import quoted
from cifar_exp.errors import BadInput

YARDSTICKS: Mapping[str, Metric] = {
    f"test_{name}": replace(metric, label=f"test {metric.label}")
    for name, metric in METRICS.items()
}
"""The final test metrics that combinations can be ranked by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How combinations are compared.

    `alpha` bounds the probability of any false claim that a combination is worse than the best.
    `rope` is the half-width of the region of practical equivalence, in hundredths of the yardstick:
    percentage points of an accuracy. `target` is the validation accuracy in % for the time to
    target; by default it is the accuracy that the median combination reaches.

    Raises:
        BadInput: The yardstick is unknown.
    """

    yardstick: str = "test_accuracy"
    alpha: float = 0.05
    rope: float = 0.5
    target: float | None = None

    def __post_init__(self) -> None:
        if self.yardstick not in YARDSTICKS:
            known = ", ".join(YARDSTICKS)
            raise BadInput(f"unknown yardstick {quoted(self.yardstick)}; there are {known}")

    @property
    def measure(self) -> Metric:
        """The metric of the yardstick."""
        return YARDSTICKS[self.yardstick]
