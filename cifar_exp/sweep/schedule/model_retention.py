"""Model retention: which trials of a combination keep their model in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class ModelRetention(Protocol):
    """Decides for each trial whether its model is stored."""

    def keeps(self, number: int, val_accuracy: float | None) -> bool:
        """Return whether to store the model of a complete trial."""

    def add(self, number: int, val_accuracy: float | None) -> int | None:
        """Record a complete trial; return the trial whose model is no longer needed, if any."""


class AllModels:
    """Keeps the model of every complete trial."""

    def keeps(self, number: int, val_accuracy: float | None) -> bool:  # noqa: ARG002
        """Return True."""
        return True

    def add(self, number: int, val_accuracy: float | None) -> int | None:  # noqa: ARG002
        """Return None."""
        return None


class BestModel:
    """Keeps the model of the best complete trial so far; of equal ones, the earliest."""

    def __init__(self) -> None:
        self._best: tuple[float, int] | None = None

    def keeps(self, number: int, val_accuracy: float | None) -> bool:
        """Return whether a trial is better than all earlier ones."""
        return val_accuracy is not None and (
            self._best is None or (val_accuracy, -number) > self._best
        )

    def add(self, number: int, val_accuracy: float | None) -> int | None:
        """Return the previous best trial, or this trial if it is not better."""
        if val_accuracy is None or not self.keeps(number, val_accuracy):
            return number
        replaced, self._best = self._best, (val_accuracy, -number)
        return None if replaced is None else -replaced[1]


MODEL_RETENTION: Mapping[str, Callable[[], ModelRetention]] = {"all": AllModels, "best": BestModel}
"""Retention policies by the value of `keep_models` in a definition."""
