"""The method of a comparison: yardstick, error level and region of practical equivalence."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from cifar_exp.components.metrics.metrics import AS_TRAINED, METRICS, SCALED, Metric
from cifar_exp.components.validation import quoted
from cifar_exp.errors import BadInput

YARDSTICKS: Mapping[str, Metric] = {
    f"test_{name}": replace(metric, label=f"test {metric.label}")
    for name, metric in METRICS.items()
}
"""The final test metrics that combinations can be ranked by."""
RAW_OF: Mapping[str, str] = {f"test_{scaled}": f"test_{name}" for name, scaled in SCALED.items()}
"""The yardsticks after temperature scaling, each with the same one without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How combinations are compared.

    `yardstick` is a final test metric, such as `test_nll`, or a quantity, such as `nll`: then it is
    compared after temperature scaling if all confirmations have that value, see `resolved`. `alpha`
    bounds the probability of any false claim that a combination is worse than the best. `rope` is
    the half-width of the region of practical equivalence, in hundredths of the yardstick:
    percentage points of an accuracy. `target` is the validation accuracy in % for the time to
    target; by default it is the accuracy that the median combination reaches.

    Raises:
        BadInput: The yardstick is unknown, or a number is out of its range.
    """

    yardstick: str = "test_accuracy"
    alpha: float = 0.05
    rope: float = 0.5
    target: float | None = None

    def __post_init__(self) -> None:
        if self.yardstick not in YARDSTICKS and self.yardstick not in AS_TRAINED:
            known = ", ".join([*AS_TRAINED, *YARDSTICKS])
            raise BadInput(f"unknown yardstick {quoted(self.yardstick)}; there are {known}")
        if not 0 < self.alpha <= 0.5:
            raise BadInput(f"alpha: should be above 0 and at most 0.5, not {self.alpha}")
        if not 0 <= self.rope < math.inf:
            raise BadInput(f"rope: should be at least 0, not {self.rope}")
        if self.target is not None and not 0 < self.target <= 100:
            raise BadInput(f"target: should be above 0 and at most 100, not {self.target}")

    @property
    def measure(self) -> Metric:
        """The metric of the yardstick."""
        return YARDSTICKS[self.resolved([]).yardstick]

    def resolved(self, confirmations: Sequence[Collection[str]]) -> Method:
        """Return the method with a final test metric as its yardstick.

        A quantity that depends on the probabilities is compared after temperature scaling, as its
        raw value depends on how a loss maps logits to probabilities. Older confirmations have raw
        values only.

        Args:
            confirmations: The names of the metrics of each confirmation.
        """
        if self.yardstick in YARDSTICKS:
            return self
        raw, scaled = self.yardstick, SCALED.get(self.yardstick, self.yardstick)
        is_known = confirmations and all(f"test_{scaled}" in names for names in confirmations)
        return replace(self, yardstick=f"test_{scaled if is_known else raw}")
