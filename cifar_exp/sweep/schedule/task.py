"""One training of a sweep: what it is, and what is known of it while it is under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from cifar_exp.experiment import TrialConfig
from cifar_exp.sweep.events import TrainingKind
from cifar_exp.system import paths
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.trainer import Training

Key = tuple[str, TrainingKind, int]
"""What names a training in a sweep: its combination, its kind and its number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One training of a sweep."""

    combination: str
    combination_id: str
    kind: TrainingKind
    number: int
    """Trials count from 0, confirmations from 1."""
    config: TrialConfig
    confirms: int | None = None
    """The trial whose setting a confirmation trains again."""

    @property
    def key(self) -> Key:
        """What names it in the sweep."""
        return self.combination, self.kind, self.number

    @property
    def name(self) -> str:
        """The name of its run, such as `mse+sgd #3` or `mse+sgd seed 2`."""
        number = f"#{self.number}" if self.kind == "trial" else f"seed {self.number}"
        return f"{self.combination} {number}"

    def training(self, store: str) -> Training:
        """Return what a trainer is given, where it is recorded in a store."""
        return Training(
            name=self.name,
            config=self.config,
            checkpoint=self.checkpoint(store),
            test=self.kind == "confirmation",
        )

    def checkpoint(self, store: str) -> str:
        """Name its checkpoint, where it is recorded in a store."""
        return paths.checkpoint_name(
            store, self.combination_id, self.kind, self.number, self.confirms
        )


@dataclass(slots=True)
class Progress:
    """What is known of a training that is under way."""

    accuracies: dict[int, float] = field(default_factory=dict)
    """The validation accuracy of each epoch."""
    seconds: float = 0.0
    """Of its epochs."""
    attempts: int = 1

    def add(self, metrics: EpochMetrics) -> bool:
        """Take note of an epoch; say whether it is new, and not told again after a crash."""
        if metrics.epoch in self.accuracies:
            return False
        self.accuracies[metrics.epoch] = metrics.val.accuracy
        self.seconds += metrics.seconds
        return True
