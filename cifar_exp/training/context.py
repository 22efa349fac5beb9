"""One combination to work on: its definition, the data, and where its runs are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import Combination, Experiment, TrialConfig
from cifar_exp.records import Kind, RunRecord
from cifar_exp.tracking import Run, Tracker
from cifar_exp.training import trial
from cifar_exp.training.checkpoint import CheckpointFile, key_of
from cifar_exp.training.events import Event, TrainingKind
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.trial import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What tuning or confirming one combination needs."""

    experiment: Experiment
    combination: Combination
    data: Dataset
    tracker: Tracker
    parent: str
    """Run id of the combination."""

    @property
    def identity(self) -> str:
        """The hash of all that the combination's results depend on."""
        return self.experiment.identity(self.combination, self.data.fingerprint)

    def records(self) -> list[RunRecord]:
        """Read the combination's runs."""
        return self.tracker.records(combination_id=self.identity)

    def open_run(
        self,
        kind: Kind,
        name: str,
        number: int,
        config: TrialConfig,
        records: Sequence[RunRecord],
        **tags: str,
    ) -> Run:
        """Open the run of a training, named after the combination and `name`.

        It may be under way already: `records` are the combination's runs, read since it was last
        worked on. One process works on a training at a time, so they tell.
        """
        return self.tracker.open_run(
            kind,
            f"{self.combination.name} {name}",
            parent=self.parent,
            tags={
                "combination": self.combination.name,
                "combination_id": self.identity,
                "number": str(number),
                **tags,
            },
            params=trial.params(config, self.data),
            known=records,
        )

    def keeper(self, run: Run, config: TrialConfig) -> CheckpointFile:
        """Return what keeps the checkpoint of a training."""
        return CheckpointFile(run.run_id, key_of(config, self.data.fingerprint))

    def began(self, kind: TrainingKind, number: int) -> Event:
        """Tell of a training that begins."""
        return self._event(kind, number, epoch=0)

    def epoch(self, kind: TrainingKind, number: int, metrics: EpochMetrics) -> Event:
        """Tell of an epoch that a training has finished."""
        return self._event(kind, number, metrics.epoch, val_accuracy=metrics.val.accuracy)

    def ended(self, kind: TrainingKind, number: int, outcome: Outcome) -> Event:
        """Tell of a training that has just ended."""
        return self._event(
            kind,
            number,
            outcome.epochs,
            val_accuracy=outcome.val_accuracy,
            state=outcome.state,
            diverged=outcome.diverged,
            reason=outcome.reason,
        )

    def lost(self, kind: TrainingKind, record: RunRecord) -> Event:
        """Tell of a training that was ended because its process died."""
        assert record.number is not None
        reason = record.tags.get("reason")
        return self.ended(kind, record.number, Outcome(state="FAIL", reason=reason))

    def kept(self, kind: TrainingKind, number: int, record: RunRecord) -> Event:
        """Tell of a training that an earlier execution has finished."""
        return self._event(
            kind,
            number,
            self.experiment.epochs,
            val_accuracy=record.metrics.get("val_accuracy"),
            state=record.state,
            diverged=record.diverged,
            reason=record.tags.get("reason"),
            kept=True,
        )

    def _event(self, kind: TrainingKind, number: int, epoch: int, **facts: Any) -> Event:
        return Event(
            combination=self.combination.name,
            kind=kind,
            number=number,
            epoch=epoch,
            epochs=self.experiment.epochs,
            **facts,
        )
