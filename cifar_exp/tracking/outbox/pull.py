"""Pull: copies runs of an experiment from the server into the outbox.

These are runs sent by another machine, or by this machine before its outbox was lost. Deletions on
the server are applied too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mlflow
from mlflow.entities import Param, RunTag, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from cifar_exp.records import STATE, TRAININGS
from cifar_exp.tracking.outbox.changes import RUNS_PER_PAGE, TAKEN_FROM, describe
from cifar_exp.tracking.outbox.outbox import Outbox
from cifar_exp.tracking.outbox.push import METRICS_PER_BATCH, OTHERS_PER_BATCH, RUN_IDS, chunks
from cifar_exp.tracking.outbox.push import ORIGIN as SENT_FROM
from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.project_run import require_new
from cifar_exp.tracking.store.deletion import delete_run
from cifar_exp.tracking.store.history import read_points
from cifar_exp.tracking.store.search import pages, quoted


class Pull:
    """Copies runs from the server into the outbox: records and metrics, no artifacts.

    Args:
        folder: The outbox.
        outbox: A client of the store in the outbox.
        server: A client of the server.
        sync_state: The sync state; a pulled run counts as delivered.
    """

    def __init__(
        self,
        folder: Outbox,
        outbox: mlflow.MlflowClient,
        server: mlflow.MlflowClient,
        sync_state: SyncState,
    ) -> None:
        self.folder = folder
        self.outbox = outbox
        self.server = server
        self.sync_state = sync_state

    def take_experiment(self, name: str) -> None:
        """Pull the runs with an experiment's name, and apply deletions.

        Unfinished trainings are not pulled, as another machine may be running them.
        """
        runs = list(self._search(name))
        self._forget_lost(name, {run.info.run_id for run in runs})
        known = {server: local for local, server in self.sync_state.server_ids().items()}
        new = []
        for run in runs:
            local = known.get(run.info.run_id)
            deleted = run.info.lifecycle_stage == "deleted"
            if deleted and local:
                delete_run(self.outbox, self.outbox.get_run(local))
            elif (
                not deleted and not local and not self._was_sent_from_here(run) and _is_settled(run)
            ):
                new.append(run)
        self._pull(new)

    def take_run(self, run_id: str) -> str:
        """Pull one run, such as the one created by `mlflow run`; return its id in the outbox."""
        run = self.server.get_run(run_id)
        require_new(run)
        known = {server: local for local, server in self.sync_state.server_ids().items()}
        return known.get(run_id) or self._pull([run])[run_id]

    def _search(self, name: str) -> Sequence[MlflowRun]:
        everywhere = [e.experiment_id for e in pages(self.server.search_experiments)]
        found = pages(
            self.server.search_runs,
            experiment_ids=everywhere,
            filter_string=f"tags.experiment = {quoted(name)}",
            run_view_type=ViewType.ALL,
            max_results=RUNS_PER_PAGE,
        )
        return list(found)

    def _forget_lost(self, name: str, on_server: set[str]) -> None:
        """Mark runs as undelivered if the server does not have them: its store was replaced."""
        everywhere = [e.experiment_id for e in pages(self.outbox.search_experiments)]
        for run in pages(
            self.outbox.search_runs,
            experiment_ids=everywhere,
            filter_string=f"tags.experiment = {quoted(name)}",
            max_results=RUNS_PER_PAGE,
        ):
            server_id = self.sync_state.server_id(run.info.run_id)
            if server_id is not None and server_id not in on_server:
                self.sync_state.forget(run.info.run_id)
                self.sync_state.forget(f"files/{run.info.run_id}")
                self.sync_state.forget(f"experiment/{run.info.experiment_id}")

    def _was_sent_from_here(self, run: MlflowRun) -> bool:
        """Return whether a run was sent from this outbox; if so, store its id on the server."""
        origin = run.data.tags.get(SENT_FROM)
        try:
            self.outbox.get_run(origin or "")
        except MlflowException:
            return False
        self.sync_state.note(str(origin), run.info.run_id)
        return True

    def _pull(self, runs: Sequence[MlflowRun]) -> Mapping[str, str]:
        """Pull runs; return their ids in the outbox by their ids on the server."""
        known = {server: local for local, server in self.sync_state.server_ids().items()}
        pulled = {run.info.run_id: self._find_or_create(run) for run in runs}
        names = {name for run in runs for name in run.data.metrics}
        for name in names:
            found = read_points(self.server, list(pulled), name)
            points: dict[str, list[mlflow.entities.Metric]] = {}
            for server_id, point in found:
                points.setdefault(pulled[server_id], []).append(point)
            for local, group in points.items():
                for batch in chunks(group, METRICS_PER_BATCH):
                    self.outbox.log_batch(local, metrics=batch)
        for run in runs:
            self._copy_records(run, pulled[run.info.run_id], {**known, **pulled})
        return pulled

    def _find_or_create(self, run: MlflowRun) -> str:
        """Return the id of the copy of a run; it is created unless an earlier attempt did."""
        name = self.server.get_experiment(run.info.experiment_id).name
        experiment_id = self.folder.experiment(self.outbox, name)
        found = self.outbox.search_runs([experiment_id], f"tags.{TAKEN_FROM} = '{run.info.run_id}'")
        if found:
            return str(found[0].info.run_id)
        created = self.outbox.create_run(
            experiment_id,
            start_time=run.info.start_time,
            tags={TAKEN_FROM: run.info.run_id},
            run_name=run.info.run_name,
        )
        return str(created.info.run_id)

    def _copy_records(self, run: MlflowRun, local: str, ids: Mapping[str, str]) -> None:
        """Write everything but the metrics of a run to its copy, and mark it as complete."""
        tags = {name: text for name, text in run.data.tags.items() if name != SENT_FROM}
        for name in tags.keys() & set(RUN_IDS):
            tags[name] = ids.get(tags[name], tags[name])
        for group in chunks([Param(*item) for item in run.data.params.items()], OTHERS_PER_BATCH):
            self.outbox.log_batch(local, params=group)
        for batch in chunks([RunTag(*item) for item in tags.items()], OTHERS_PER_BATCH):
            self.outbox.log_batch(local, tags=batch)
        if run.inputs and run.inputs.dataset_inputs:
            self.outbox.log_inputs(local, run.inputs.dataset_inputs)
        if run.info.status != "RUNNING":
            self.outbox.set_terminated(local, run.info.status, run.info.end_time)
        self.sync_state.note(local, run.info.run_id)
        self.sync_state.mark(local, describe(self.outbox.get_run(local)).state)


def _is_settled(run: MlflowRun) -> bool:
    """Return whether a run is final: a training has ended; other kinds are always pulled."""
    tags = run.data.tags
    if tags.get("kind") in TRAININGS:
        return STATE in tags and bool(run.info.status != "RUNNING")
    return "kind" in tags
