"""All trainings of an experiment, read from an MLflow store."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_exp import tracking
from cifar_exp.comparison import counted_trainings
from cifar_exp.errors import BadInput
from cifar_exp.records import TRAININGS, RunRecord
from cifar_exp.report.export.training import ExportedTraining
from cifar_exp.system.urls import without_credentials


def read_trainings(name: str, tracking_uri: str) -> list[ExportedTraining]:
    """Read the trainings of an experiment with all their epochs, the oldest first.

    Args:
        name: The experiment; `train` for single trainings.
        tracking_uri: The MLflow store.

    Raises:
        BadInput: There is no such store, or it has no training of that name.
        StoreError: The store cannot be read.
    """
    client = tracking.connect_to_read(tracking_uri)
    records = tracking.read_records(client, name)
    trainings = [record for record in records if record.kind in (*TRAININGS, "train")]
    if not trainings:
        store = without_credentials(tracking_uri)
        raise BadInput(f"the MLflow store {store} holds no training of experiment {name!r}")
    counted = _counted(records)
    epochs = tracking.read_epochs(client, trainings)
    return [
        ExportedTraining(
            record=record,
            epochs=epochs.get(record.run_id, ()),
            counted=record.run_id in counted,
        )
        for record in trainings
    ]


def _counted(records: Sequence[RunRecord]) -> set[str]:
    """Return the ids of the runs that the ranking of the latest sweep uses."""
    if not any(record.kind == "sweep" for record in records):
        return set()
    return {run.run_id for runs in counted_trainings(records).values() for run in runs}
