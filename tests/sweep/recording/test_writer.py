"""The entries written for a sweep's trainings, with a tracker that records its calls."""

from __future__ import annotations

from typing import Any

from cifar_exp.components.datasets import Dataset
from cifar_exp.sweep.recording.writer import DropModel, Records
from tests import records

NAME = "mse+sgd"


class RecordingTracker:
    """A tracker that records the runs whose models are deleted."""

    uri = "store"

    def __init__(self) -> None:
        self.without_models: list[str] = []

    def delete_models(self, run_id: str) -> None:
        self.without_models.append(run_id)


def test_the_model_that_is_dropped_is_that_of_the_trial(data: Dataset) -> None:
    """A confirmation may have the same number."""
    stored = [records.trial(NAME, 1, 0.5), records.confirmation(NAME, 1, 0.5, confirms=1)]
    tracker: Any = RecordingTracker()
    writes = Records(tracker=tracker, data=data, threads=1, parents={}, records=stored, studies={})
    writes.write([DropModel(key=(NAME, "trial", 1))])
    assert tracker.without_models == [stored[0].run_id]
