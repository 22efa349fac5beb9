"""The runs of one experiment: opened where they are new, taken up again where they are not."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Mapping, Set
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from cifar_exp.records import Kind, RunRecord
from cifar_exp.tracking import provenance
from cifar_exp.tracking.run import STATUS_OF, Run, param_text
from cifar_exp.tracking.store.connect import connect
from cifar_exp.tracking.store.records import read_records, record_of
from cifar_exp.tracking.store.server import StoreError
from cifar_exp.tracking.store.stored_files import stored_models


class Tracker:
    """The runs that carry one experiment's name, in one MLflow store.

    Args:
        uri: The MLflow store.
        experiment: The definition's name, the tag that all of its runs carry.
        mlflow_experiment_id: Where new runs are made.
    """

    def __init__(self, uri: str, experiment: str, mlflow_experiment_id: str) -> None:
        self.uri = uri
        self.client = connect(uri)
        self.experiment = experiment
        self.mlflow_experiment_id = mlflow_experiment_id

    def records(self, **tags: str) -> list[RunRecord]:
        """Read the experiment's runs that carry these tags, the oldest first."""
        return read_records(self.client, self.experiment, **tags)

    def open_run(
        self,
        kind: Kind,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        known: Iterable[RunRecord] | None = None,
    ) -> Run:
        """Start a run, or go on with the unfinished one that has these tags and parameters.

        An unfinished run whose parameters differ is deleted: its result would mix two trainings.
        The run is looked for among the `known` records, where the caller has read them.
        """
        texts = {key: param_text(value) for key, value in params.items()}
        marks = {"kind": kind, **tags}
        found = self.records(**marks) if known is None else known
        for record in (r for r in found if marks.items() <= r.tags.items()):
            if texts.items() <= record.params.items() or not record.params:
                return self._take_up(record, parent, texts)
            self.client.delete_run(record.run_id)
        return self.new_run(kind, name, parent=parent, tags=tags, params=texts)

    def new_run(
        self,
        kind: Kind,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> Run:
        """Start a run, under another one if `parent` names it."""
        family = {} if parent is None else {"mlflow.parentRunId": parent}
        source = {"mlflow.user": _user(), "mlflow.source.name": "cifar-exp", **provenance.tags()}
        created = self.client.create_run(
            self.mlflow_experiment_id,
            run_name=name,
            tags={**self._identity(tags), "kind": kind, **family, **source},
        )
        run = Run(self.client, created.info)
        run.log_params(params)
        return run

    def adopt(
        self, run_id: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any]
    ) -> Run:
        """Make a run that exists already, such as `mlflow run`'s, the one for a sweep or training.

        Parameters that the run has already are left as they are: MLflow refuses to change them.
        """
        given = self.client.get_run(run_id)
        run = Run(self.client, given.info)
        self.client.update_run(run_id, name=name)
        run.set_tags({**self._identity(tags), **provenance.tags()})
        run.log_params({k: v for k, v in params.items() if k not in given.data.params})
        return run

    def reparent(self, record: RunRecord, parent: str) -> None:
        """Move a run under another one."""
        if record.parent != parent:
            self.client.set_tag(record.run_id, "mlflow.parentRunId", parent)

    def open_combination(
        self, name: str, *, parent: str, combination_id: str, params: Mapping[str, Any]
    ) -> Run:
        """Open the one run of a combination, with all of its trainings under it.

        What an interruption or a deletion has left elsewhere is brought together.
        """
        tags = {"combination": name, "combination_id": combination_id}
        run = self.open_run("combination", name, parent=parent, tags=tags, params=params)
        for record in self.records(combination_id=combination_id):
            if record.kind != "combination":
                self.reparent(record, run.run_id)
            elif record.run_id != run.run_id:
                self.client.delete_run(record.run_id)
        return run

    def close_combination(
        self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        """Write the summary of a combination and close its run.

        MLflow keeps a parameter for ever. Where more trials have found another best setting, a
        new run takes the place of the old one and its trainings.
        """
        old = self.client.get_run(run_id)
        run = Run(self.client, old.info)
        texts = {name: str(value) for name, value in params.items()}
        if any(old.data.params.get(name, text) != text for name, text in texts.items()):
            run = self._replace(record_of(old), set(texts))
        run.log_params(texts)
        run.log_metrics(metrics)
        run.end()

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

    def _replace(self, record: RunRecord, changed: Set[str]) -> Run:
        """Put a new run in place of a combination's, with its tags and the unchanged parameters."""
        tags = {name: record.tags[name] for name in ("combination", "combination_id")}
        params = {name: text for name, text in record.params.items() if name not in changed}
        new = self.new_run(
            "combination", record.name, parent=record.parent, tags=tags, params=params
        )
        for child in self.records(combination_id=tags["combination_id"]):
            if child.parent == record.run_id:
                self.reparent(child, new.run_id)
        self.client.delete_run(record.run_id)
        return new

    def _identity(self, tags: Mapping[str, str]) -> dict[str, str]:
        return {"experiment": self.experiment, **tags}

    def _take_up(self, record: RunRecord, parent: str | None, params: Mapping[str, str]) -> Run:
        self.client.update_run(record.run_id, status="RUNNING")
        if parent is not None:
            self.reparent(record, parent)
        found_run = self.client.get_run(record.run_id)
        for model in stored_models(self.client, found_run):
            model.delete()  # its training did not come to an end, and will store it anew
        points = self.client.get_metric_history(record.run_id, "epoch_seconds")
        epochs = max((point.step for point in points), default=0)
        run = Run(self.client, found_run.info, found_run.data.metrics, epochs)
        run.set_tags({"resumed": str(int(time.time() * 1000))})
        run.log_params(params)
        return run


def mlflow_experiment(client: mlflow.MlflowClient, name: str) -> str:
    """Return the id of the MLflow experiment of this name, made if it is not there."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process has made it meanwhile, or it cannot be made
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise StoreError(f"the MLflow experiment {name!r} is deleted; restore it or choose a name")
    return str(found.experiment_id)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id may have no name
        return "unknown"
