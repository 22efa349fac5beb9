"""The existing runs of one experiment: read, repaired, closed."""

from __future__ import annotations

import mlflow

from cifar_exp.records import RunRecord
from cifar_exp.tracking.run import STATUS_OF
from cifar_exp.tracking.store.deletion import delete_run
from cifar_exp.tracking.store.records import read_records
from cifar_exp.tracking.store.stored_files import stored_models


class ExperimentRuns:
    """The runs of one experiment in one MLflow store.

    Args:
        client: A client of the store.
        experiment: The definition's name, which is a tag of all its runs.
    """

    def __init__(self, client: mlflow.MlflowClient, experiment: str) -> None:
        self.client = client
        self.experiment = experiment

    @property
    def uri(self) -> str:
        """The tracking URI of the store."""
        return str(self.client.tracking_uri)

    def records(self, **tags: str) -> list[RunRecord]:
        """Return the experiment's runs with these tags, the oldest first."""
        return read_records(self.client, self.experiment, **tags)

    def reparent(self, record: RunRecord, parent: str) -> None:
        """Change the parent of a run."""
        if record.parent != parent:
            self.client.set_tag(record.run_id, "mlflow.parentRunId", parent)

    def rename(self, record: RunRecord, combination: str) -> None:
        """Change the name of a training's combination."""
        if record.combination != combination:
            self.client.set_tag(record.run_id, "combination", combination)
            number = record.name.removeprefix(record.combination or "")
            self.client.update_run(record.run_id, name=f"{combination}{number}")

    def delete_models(self, run_id: str) -> None:
        """Delete the stored models of a run and their files."""
        for model in stored_models(self.client, self.client.get_run(run_id)):
            model.delete()

    def close(self, record: RunRecord) -> None:
        """Close a run that its process left open, with the status of its state, else as KILLED."""
        self.client.set_terminated(record.run_id, STATUS_OF.get(record.state or "", "KILLED"))

    def delete(self, record: RunRecord) -> None:
        """Mark a run as deleted in MLflow; it is closed first."""
        delete_run(self.client, self.client.get_run(record.run_id))

    def close_running(self) -> None:
        """Close every run of the experiment with status RUNNING; no process may write to one."""
        for record in self.records():
            if record.status == "RUNNING":
                self.close(record)
