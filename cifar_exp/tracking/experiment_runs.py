"""The runs of one experiment, as they are in MLflow."""

from __future__ import annotations

import mlflow

from cifar_exp.records import RunRecord
from cifar_exp.tracking.run import STATUS_OF
from cifar_exp.tracking.store.records import read_records
from cifar_exp.tracking.store.stored_files import stored_models


class ExperimentRuns:
    """The runs that carry one experiment's name, in one MLflow store.

    Args:
        client: A client of the store.
        experiment: The definition's name, the tag that all of its runs carry.
    """

    def __init__(self, client: mlflow.MlflowClient, experiment: str) -> None:
        self.client = client
        self.experiment = experiment

    @property
    def uri(self) -> str:
        """The tracking URI of the store."""
        return str(self.client.tracking_uri)

    def records(self, **tags: str) -> list[RunRecord]:
        """Read the experiment's runs that carry these tags, the oldest first."""
        return read_records(self.client, self.experiment, **tags)

    def reparent(self, record: RunRecord, parent: str) -> None:
        """Move a run under another one."""
        if record.parent != parent:
            self.client.set_tag(record.run_id, "mlflow.parentRunId", parent)

    def delete_models(self, run_id: str) -> None:
        """Delete the stored models of a run with their files."""
        for model in stored_models(self.client, self.client.get_run(run_id)):
            model.delete()

    def close(self, record: RunRecord) -> None:
        """Close a run that its process has left open: by its state, or as killed."""
        self.client.set_terminated(record.run_id, STATUS_OF.get(record.state or "", "KILLED"))

    def close_running(self) -> None:
        """Close every run of the experiment that says RUNNING; nobody may be writing to one."""
        for record in self.records():
            if record.status == "RUNNING":
                self.close(record)
