"""Which trials of a combination keep their models in MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class ModelRetention(Protocol):
    """Decides, trial by trial, whose model is stored."""

    def keeps(self, number: int, val_accuracy: float | None) -> bool:
        """Say whether to store the model of a complete trial."""

    def add(self, number: int, val_accuracy: float | None) -> int | None:
        """Take note of a complete trial; return the one whose model is not needed any more."""


class AllModels:
    """Every complete trial keeps its model."""

    def keeps(self, number: int, val_accuracy: float | None) -> bool:  # noqa: ARG002
        """Say yes."""
        return True

    def add(self, number: int, val_accuracy: float | None) -> int | None:  # noqa: ARG002
        """Name none."""
        return None


class BestModel:
    """Only the best complete trial so far keeps its model, the earliest of equals."""

    def __init__(self) -> None:
        self._best: tuple[float, int] | None = None

    def keeps(self, number: int, val_accuracy: float | None) -> bool:
        """Say whether a trial is better than all before it."""
        return val_accuracy is not None and (
            self._best is None or (val_accuracy, -number) > self._best
        )

    def add(self, number: int, val_accuracy: float | None) -> int | None:
        """Return the trial that this one outdoes, or this one if it is outdone."""
        if val_accuracy is None or not self.keeps(number, val_accuracy):
            return number
        outdone, self._best = self._best, (val_accuracy, -number)
        return None if outdone is None else -outdone[1]


MODEL_RETENTION: Mapping[str, Callable[[], ModelRetention]] = {"all": AllModels, "best": BestModel}
"""By what a definition says of `keep_models`."""
