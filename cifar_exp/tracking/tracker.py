"""The tracker: creates, resumes and closes the runs of one experiment."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Mapping, Set
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from cifar_exp.records import Kind, RunRecord
from cifar_exp.system.names import utf8
from cifar_exp.tracking import provenance
from cifar_exp.tracking.experiment_runs import ExperimentRuns
from cifar_exp.tracking.outbox.outbox import is_outbox
from cifar_exp.tracking.registry import not_registered, register_champion
from cifar_exp.tracking.run import Run, param_text
from cifar_exp.tracking.store import artifact_root
from cifar_exp.tracking.store.records import record_of
from cifar_exp.tracking.store.server import StoreError
from cifar_exp.tracking.store.stored_files import stored_models


class Tracker(ExperimentRuns):
    """The runs of one experiment in one MLflow store, and the creation of new ones.

    Args:
        client: A client of the store.
        experiment: The definition's name, which is a tag of all its runs.
        mlflow_experiment_id: The MLflow experiment of new runs.
    """

    def __init__(
        self, client: mlflow.MlflowClient, experiment: str, mlflow_experiment_id: str
    ) -> None:
        super().__init__(client, experiment)
        self.mlflow_experiment_id = mlflow_experiment_id

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
        """Start a run, or resume the unfinished run with these tags and params.

        An unfinished run with other params is deleted, as its result would mix two trainings. If
        `known` is given, the run is searched among these records instead of in the store.
        """
        texts = {key: param_text(value) for key, value in params.items()}
        required_tags = {"kind": kind, **tags}
        found = self.records(**required_tags) if known is None else known
        for record in (r for r in found if required_tags.items() <= r.tags.items()):
            if texts.items() <= record.params.items() or not record.params:
                return self._resume(record, parent, texts)
            self.delete(record)
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
        """Start a run; `parent` is the id of its parent run, if any."""
        parent_tag = {} if parent is None else {"mlflow.parentRunId": parent}
        source = {"mlflow.user": _user(), "mlflow.source.name": "cifar-exp", **_code()}
        created = self.client.create_run(
            self.mlflow_experiment_id,
            run_name=name,
            tags={**self._identity(tags), "kind": kind, **parent_tag, **source},
        )
        run = Run(self.client, created.info)
        run.log_params(params)
        return run

    def adopt(
        self, run_id: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any]
    ) -> Run:
        """Use an existing run, such as that of `mlflow run`, for a sweep or training.

        Existing params are kept, as MLflow does not allow changes.
        """
        self.client.update_run(run_id, name=name)
        existing = self.client.get_run(run_id)
        run = Run(self.client, existing.info)
        run.set_tags({**self._identity(tags), **_code()})
        run.log_params({k: v for k, v in params.items() if k not in existing.data.params})
        return run

    def open_combination(
        self, name: str, *, parent: str, combination_id: str, params: Mapping[str, Any]
    ) -> Run:
        """Open the run of a combination, and make it the parent of all its trainings.

        Trainings with another parent, left by an interruption or a deletion, are moved, and those
        of the same combination with another name are renamed: it has one more part if the
        definition has several schedules. Duplicate runs of the combination are deleted.
        """
        tags = {"combination": name, "combination_id": combination_id}
        run = self.open_run("combination", name, parent=parent, tags=tags, params=params)
        for record in self.records(combination_id=combination_id):
            if record.kind != "combination":
                self.reparent(record, run.run_id)
                self.rename(record, name)
            elif record.run_id != run.run_id:
                self.delete(record)
        return run

    def close_combination(
        self, run_id: str, params: Mapping[str, Any], metrics: Mapping[str, float]
    ) -> None:
        """Write the summary of a combination and close its run.

        MLflow params cannot be changed. If more trials have found another best setting, a new run
        replaces the old one and becomes the parent of its trainings.
        """
        old = self.client.get_run(run_id)
        run = Run(self.client, old.info)
        texts = {name: str(value) for name, value in params.items()}
        if any(old.data.params.get(name, text) != text for name, text in texts.items()):
            run = self._replace(record_of(old), set(texts))
        run.log_params(texts)
        run.log_metrics(metrics)
        run.end()

    def register_champion(self, sweep: Run) -> str | None:
        """Register the champion of a sweep; return why it is not, as one sentence.

        In an outbox nothing is registered; its push does so on the server.
        """
        if is_outbox(self.uri):
            return None
        try:
            return register_champion(self.client, sweep.run_id)
        except (MlflowException, OSError, SQLAlchemyError) as error:
            return not_registered(self.experiment, error)

    def _replace(self, record: RunRecord, changed: Set[str]) -> Run:
        """Replace a combination's run by a new one with its tags and unchanged params."""
        tags = {name: record.tags[name] for name in ("combination", "combination_id")}
        params = {name: text for name, text in record.params.items() if name not in changed}
        new = self.new_run(
            "combination", record.name, parent=record.parent, tags=tags, params=params
        )
        for child in self.records(combination_id=tags["combination_id"]):
            if child.parent == record.run_id:
                self.reparent(child, new.run_id)
        self.delete(record)
        return new

    def _identity(self, tags: Mapping[str, str]) -> dict[str, str]:
        return {"experiment": self.experiment, **tags}

    def _resume(self, record: RunRecord, parent: str | None, params: Mapping[str, str]) -> Run:
        self.client.update_run(record.run_id, status="RUNNING")
        if parent is not None:
            self.reparent(record, parent)
        found_run = self.client.get_run(record.run_id)
        for model in stored_models(self.client, found_run):
            model.delete()  # the unfinished training stores it again
        points = self.client.get_metric_history(record.run_id, "epoch_seconds")
        epochs = max((point.step for point in points), default=0)
        run = Run(self.client, found_run.info, found_run.data.metrics, epochs)
        run.set_tags({"resumed": str(int(time.time() * 1000))})
        run.log_params(params)
        return run


def mlflow_experiment(client: mlflow.MlflowClient, name: str) -> str:
    """Return the id of the MLflow experiment of this name; it is created if it is missing."""
    found = client.get_experiment_by_name(name)
    if found is None:
        utf8(artifact_root.folder(client.tracking_uri))
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another process has created it, or it cannot be created
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise StoreError(f"the MLflow experiment {name!r} is deleted; restore it or choose a name")
    artifact_root.check_location(found)
    return str(found.experiment_id)


def _code() -> Mapping[str, str]:
    return {**provenance.tags(), **provenance.plugin_tags()}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container the user id may have no name
        return "unknown"
