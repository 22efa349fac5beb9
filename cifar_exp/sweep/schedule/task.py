"""One training of a sweep, and its progress while it runs."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from cifar_exp.experiment import TrialConfig
from cifar_exp.records import study_label
from cifar_exp.sweep.events import TrainingKind
from cifar_exp.system import paths
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Training

Key = tuple[str, TrainingKind, int]
"""Identifies a training in a sweep: study, kind and number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One training of a sweep."""

    combination: str
    combination_id: str
    study: int = 1
    """The study of the combination, numbered from 1."""
    kind: TrainingKind
    number: int
    """Trials count from 0, confirmations from 1."""
    config: TrialConfig
    confirms: int | None = None
    """The trial whose setting a confirmation trains again."""

    @property
    def label(self) -> str:
        """The name of its study in the sweep."""
        return study_label(self.combination, self.study)

    @property
    def key(self) -> Key:
        """The key of the training in the sweep."""
        return self.label, self.kind, self.number

    @property
    def alike(self) -> Hashable:
        """What trainings have in common that can be trained together."""
        kinds = ("loss", "optimizer", "schedule")
        own = {"lr", *kinds, *(f"{kind}_settings" for kind in kinds)}
        return self.config.model_dump_json(exclude=own)

    @property
    def name(self) -> str:
        """The name of its MLflow run, such as `mse+sgd #3` or `mse+sgd seed 2`."""
        number = f"#{self.number}" if self.kind == "trial" else f"seed {self.number}"
        return f"{self.label} {number}"

    def training(self, store: str) -> Training:
        """Return the training as a trainer gets it; `store` is the tracking URI."""
        return Training(
            name=self.name,
            config=self.config,
            checkpoint=self.checkpoint(store),
            test=self.kind == "confirmation",
        )

    def checkpoint(self, store: str) -> str:
        """Return the name of its checkpoint; `store` is the tracking URI."""
        study = study_label(self.combination_id, self.study)
        return paths.checkpoint_name(store, study, self.kind, self.number, self.confirms)


@dataclass(slots=True)
class Progress:
    """The progress of a running training."""

    accuracies: dict[int, float] = field(default_factory=dict)
    """The validation accuracy of each epoch."""
    seconds: float = 0.0
    """Wall time of its epochs."""
    attempts: int = 1
    last_epoch: int | None = None
    """The epoch after which the training was stopped, if it was."""

    def add(self, metrics: EpochMetrics) -> bool:
        """Add an epoch; return False if it was added before and is repeated after a crash."""
        if metrics.epoch in self.accuracies:
            return False
        self.accuracies[metrics.epoch] = metrics.val.accuracy
        self.seconds += metrics.seconds
        return True
