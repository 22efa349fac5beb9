"""Changes: the runs of an outbox that are not delivered in their present state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mlflow
from mlflow.entities import LoggedModel, LoggedModelStatus, ViewType
from mlflow.entities import Run as MlflowRun

from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.store.search import pages

RUNS_PER_PAGE = 1000
TAKEN_FROM = "server_run_id"
"""Tag of a run in the outbox that was pulled from the server: its id on the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A run of the outbox whose present state is not delivered."""

    run: MlflowRun
    models: tuple[LoggedModel, ...]
    """The stored models of the run that are complete and not deleted."""
    state: str

    @property
    def run_id(self) -> str:
        """The run's id in the outbox."""
        return str(self.run.info.run_id)

    @property
    def deleted(self) -> bool:
        """Whether the run is deleted."""
        return bool(self.run.info.lifecycle_stage == "deleted")

    @property
    def ended(self) -> bool:
        """Whether the run is closed."""
        return bool(self.run.info.status != "RUNNING")


def changes(client: mlflow.MlflowClient, sync_state: SyncState) -> list[Change]:
    """Return the runs whose state is not delivered, the oldest first.

    A run that is only partly pulled from the server is excluded, so that it is not sent back.
    """
    experiments = [experiment.experiment_id for experiment in pages(client.search_experiments)]
    models = _models_by_run(client, experiments)
    found = []
    for run in _runs(client, experiments):
        change = describe(run, models.get(run.info.run_id, ()))
        if sync_state.state(change.run_id) != change.state and not _partly_pulled(run, sync_state):
            found.append(change)
    return found


def describe(run: MlflowRun, models: Iterable[LoggedModel] = ()) -> Change:
    """Return a run as a change; its state is a hash of all that is delivered, in any order."""
    proto = run.to_proto()
    parts = [*proto.data.params, *proto.data.tags, *proto.data.metrics]
    parts += [*proto.inputs.dataset_inputs, *proto.outputs.model_outputs]
    texts = sorted(part.SerializeToString(deterministic=True) for part in parts)
    names = sorted(model.model_id for model in models)
    content = [proto.info.SerializeToString(deterministic=True), *texts, *map(str.encode, names)]
    return Change(
        run=run,
        models=tuple(models),
        state=hashlib.sha256(b"\n".join(content)).hexdigest(),
    )


def _runs(client: mlflow.MlflowClient, experiments: list[str]) -> Iterator[MlflowRun]:
    return pages(
        client.search_runs,
        experiment_ids=experiments,
        run_view_type=ViewType.ALL,
        max_results=RUNS_PER_PAGE,
        order_by=["attributes.start_time ASC"],
    )


def _models_by_run(
    client: mlflow.MlflowClient, experiments: list[str]
) -> dict[str, tuple[LoggedModel, ...]]:
    models: dict[str, tuple[LoggedModel, ...]] = {}
    for model in pages(client.search_logged_models, experiment_ids=experiments):
        if model.status == LoggedModelStatus.READY:
            models[model.source_run_id] = (*models.get(model.source_run_id, ()), model)
    return models


def _partly_pulled(run: MlflowRun, sync_state: SyncState) -> bool:
    return TAKEN_FROM in run.data.tags and sync_state.server_id(run.info.run_id) is None
