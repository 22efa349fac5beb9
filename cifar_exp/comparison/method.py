"""What combinations are ranked by, and how sure a ranking has to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cifar_exp.components.validation import quoted
from cifar_exp.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class Yardstick:
    """A final test metric: its name for people, its direction, and whether it is shown in %."""

    label: str
    smaller_is_better: bool = False
    percent: bool = True

    def text(self, value: float) -> str:
        """Write a value without its unit."""
        return f"{100 * value:.2f}" if self.percent else f"{value:.4f}"

    @property
    def unit(self) -> str:
        """What stands behind a value."""
        return " %" if self.percent else ""

    def difference(self, value: float) -> str:
        """Write a difference of two values."""
        return f"{100 * value:.2f} points" if self.percent else f"{value:.4f}"


YARDSTICKS: Mapping[str, Yardstick] = {
    "test_accuracy": Yardstick(label="test accuracy"),
    "test_top5": Yardstick(label="test top-5 accuracy"),
    "test_macro_f1": Yardstick(label="test macro F1"),
    "test_nll": Yardstick(label="test NLL", smaller_is_better=True, percent=False),
    "test_brier": Yardstick(label="test Brier score", smaller_is_better=True, percent=False),
    "test_ece": Yardstick(label="test ECE", smaller_is_better=True, percent=False),
    "test_ece_adaptive": Yardstick(
        label="test adaptive ECE", smaller_is_better=True, percent=False
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """How combinations are compared.

    `alpha` bounds the probability of any false claim that a combination is worse than the best.
    `rope` is the difference that does not matter in practice, in hundredths of the yardstick:
    percentage points of an accuracy. `target` is the validation accuracy in % that the time to
    target is measured to; without one, the ranking chooses what the median combination reaches.

    Raises:
        BadInput: There is no such yardstick.
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
    def measure(self) -> Yardstick:
        """The yardstick itself."""
        return YARDSTICKS[self.yardstick]
