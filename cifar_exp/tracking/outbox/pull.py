"""Takes into an outbox what the server holds of an experiment and the outbox does not.

That is what another machine has sent, or this one before its outbox was lost; and what was
deleted on the server since.
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
from cifar_exp.tracking.outbox.push import METRICS_PER_BATCH, OTHERS_PER_BATCH, PARENT, chunks
from cifar_exp.tracking.outbox.push import ORIGIN as SENT_FROM
from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.project_run import require_new
from cifar_exp.tracking.store.history import read_points
from cifar_exp.tracking.store.search import pages, quoted


class Pull:
    """Copies runs of the server into the outbox: records and points, no artifacts.

    Args:
        place: The outbox.
        outbox: A client of its store.
        server: A client of the server.
        sync_state: What has been delivered; a run that was taken in counts as that.
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
        """Bring the outbox to the state of the server: the runs with an experiment's name.

        Trainings that did not come to an end stay where they are, another machine may be at them.
        """
        runs = list(self._search(name))
        self._forget_lost(name, {run.info.run_id for run in runs})
        known = {server: local for local, server in self.sync_state.server_ids().items()}
        new = []
        for run in runs:
            local = known.get(run.info.run_id)
            deleted = run.info.lifecycle_stage == "deleted"
            if deleted and local:
                self.outbox.delete_run(local)
            elif not deleted and not local and not self._recognise(run) and _is_settled(run):
                new.append(run)
        self._take(new)

    def take_run(self, run_id: str) -> str:
        """Take in one run, such as the one that `mlflow run` has made; return its id here."""
        run = self.server.get_run(run_id)
        require_new(run)
        known = {server: local for local, server in self.sync_state.server_ids().items()}
        return known.get(run_id) or self._take([run])[run_id]

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
        """Forget the delivery of runs that the server no longer knows: its store is another one."""
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

    def _recognise(self, run: MlflowRun) -> bool:
        """Note a run that came from this outbox, and say whether it did."""
        origin = run.data.tags.get(SENT_FROM)
        try:
            self.outbox.get_run(origin or "")
        except MlflowException:
            return False
        self.sync_state.note(str(origin), run.info.run_id)
        return True

    def _take(self, runs: Sequence[MlflowRun]) -> Mapping[str, str]:
        """Take in runs, and return their ids here by those on the server."""
        known = {server: local for local, server in self.sync_state.server_ids().items()}
        taken = {run.info.run_id: self._place(run) for run in runs}
        names = {name for run in runs for name in run.data.metrics}
        for name in names:
            found = read_points(self.server, list(taken), name)
            points: dict[str, list[mlflow.entities.Metric]] = {}
            for server_id, point in found:
                points.setdefault(taken[server_id], []).append(point)
            for local, some in points.items():
                for batch in chunks(some, METRICS_PER_BATCH):
                    self.outbox.log_batch(local, metrics=batch)
        for run in runs:
            self._fill(run, taken[run.info.run_id], {**known, **taken})
        return taken

    def _place(self, run: MlflowRun) -> str:
        """Return the id of the copy of a run, which is made if an earlier attempt has not."""
        name = self.server.get_experiment(run.info.experiment_id).name
        experiment_id = self.folder.experiment(self.outbox, name)
        found = self.outbox.search_runs([experiment_id], f"tags.{TAKEN_FROM} = '{run.info.run_id}'")
        if found:
            return str(found[0].info.run_id)
        made = self.outbox.create_run(
            experiment_id,
            start_time=run.info.start_time,
            tags={TAKEN_FROM: run.info.run_id},
            run_name=run.info.run_name,
        )
        return str(made.info.run_id)

    def _fill(self, run: MlflowRun, local: str, ids: Mapping[str, str]) -> None:
        """Write all but the points of a run to its copy, and note that it is whole."""
        tags = {name: text for name, text in run.data.tags.items() if name != SENT_FROM}
        if PARENT in tags:
            tags[PARENT] = ids.get(tags[PARENT], tags[PARENT])
        for some in chunks([Param(*item) for item in run.data.params.items()], OTHERS_PER_BATCH):
            self.outbox.log_batch(local, params=some)
        for batch in chunks([RunTag(*item) for item in tags.items()], OTHERS_PER_BATCH):
            self.outbox.log_batch(local, tags=batch)
        if run.inputs and run.inputs.dataset_inputs:
            self.outbox.log_inputs(local, run.inputs.dataset_inputs)
        if run.info.status != "RUNNING":
            self.outbox.set_terminated(local, run.info.status, run.info.end_time)
        self.sync_state.note(local, run.info.run_id)
        self.sync_state.mark(local, describe(self.outbox.get_run(local)).state)


def _is_settled(run: MlflowRun) -> bool:
    """Say whether nobody will change a run any more, so far as it is a training."""
    tags = run.data.tags
    if tags.get("kind") in TRAININGS:
        return STATE in tags and bool(run.info.status != "RUNNING")
    return "kind" in tags
