"""Push: copies changes of an outbox to its server. Retries create no duplicates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import mlflow
from mlflow.entities import Experiment, Metric, Param, RunTag, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from cifar_exp.records import STATE
from cifar_exp.system.formatting import first_line
from cifar_exp.tracking.outbox.changes import TAKEN_FROM, Change, changes
from cifar_exp.tracking.outbox.push_files import FilePush
from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.registry import CHAMPION, register_champion
from cifar_exp.tracking.store.deletion import delete_run
from cifar_exp.tracking.store.history import read_points
from cifar_exp.tracking.store.server import check_server
from cifar_exp.tracking.ui.experiment import is_users

ORIGIN = "outbox_run_id"
"""Tag of a run on the server: the id of the run in the outbox."""
PARENT = "mlflow.parentRunId"
RUN_IDS = (PARENT, CHAMPION)
"""Tags whose text is the id of another run."""
METRICS_PER_BATCH, OTHERS_PER_BATCH = (
    800,
    100,
)  # MLflow's limits: 1000 in total, 100 params, 100 tags

Points = set[tuple[str, float, int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """The result of one round of a delivery."""

    runs: int
    points: int
    """Number of metric values."""
    left: int
    """Number of runs that the server refused."""
    problem: str = ""
    """The error message of the first refused run."""
    warnings: tuple[str, ...] = ()
    """Why champions are not registered on the server."""


class Push:
    """Sends the runs of an outbox to the server, in rounds.

    Each step can be repeated: a run is searched by the tag of its origin before it is created, and
    params, tags and metrics may be sent again. The sync state is updated last.

    Args:
        outbox: A client of the store in the outbox.
        server: A client of the server.
        sync_state: The sync state of the outbox.
    """

    def __init__(
        self, outbox: mlflow.MlflowClient, server: mlflow.MlflowClient, sync_state: SyncState
    ) -> None:
        self.outbox = outbox
        self.server = server
        self.sync_state = sync_state
        self._files = FilePush(outbox, server, sync_state)
        self._points: dict[str, Points] = {}
        self._num_points = 0
        self._warnings: list[str] = []

    def round(self) -> Sent:
        """Send all changes.

        Raises:
            StoreError: The server does not respond.
        """
        check_server(self.server.tracking_uri)
        found = sorted(changes(self.outbox, self.sync_state), key=_order)
        points_before, problems = self._num_points, []
        self._warnings = []
        for step in (self._find_or_create, self._send):  # parents need an id before their children
            for change in found:
                problems += self._attempt(step, change)
        for experiment in self.outbox.search_experiments():
            problems += self._attempt(self._describe, experiment)
        left = len(changes(self.outbox, self.sync_state)) if problems else 0
        return Sent(
            runs=len(found) - left,
            points=self._num_points - points_before,
            left=left,
            problem=problems[0] if problems else "",
            warnings=tuple(self._warnings),
        )

    def _attempt(self, step: Callable[..., None], subject: Any) -> list[str]:
        """Run a step; return the error message if the server refuses, so that others continue."""
        try:
            step(subject)
        except (MlflowException, OSError) as error:
            check_server(self.server.tracking_uri)
            return [first_line(error)]
        return []

    def _find_or_create(self, change: Change) -> None:
        """Create the run on the server if it is missing."""
        if change.deleted or self.sync_state.server_id(change.run_id):
            return
        run = change.run
        copies = self._copies(run)
        found_run = copies[0] if copies else self._create(run)
        self.sync_state.note(change.run_id, found_run.info.run_id)

    def _create(self, run: MlflowRun) -> MlflowRun:
        return self.server.create_run(
            self._experiment_id(run),
            start_time=run.info.start_time,
            tags=self._tags(run),
            run_name=run.info.run_name,
        )

    def _send(self, change: Change) -> None:
        """Update the run on the server to the state in the outbox."""
        server_id = self.sync_state.server_id(change.run_id)
        if change.deleted:
            self._delete(change)
        elif server_id is None or self._waits(change):
            return  # retried in another round
        elif self._is_active(change, server_id):
            self._send_records(change.run, server_id)
            if change.ended:
                self._files.send(change, server_id)
            self._send_status(change, server_id)
            self._register_champion(change, server_id)
        self.sync_state.mark(change.run_id, change.state)

    def _register_champion(self, change: Change, server_id: str) -> None:
        """Register the champion of a sweep that has finished; an interrupted one may be older."""
        finished = change.run.info.status == "FINISHED"
        if finished and (warning := register_champion(self.server, server_id)):
            self._warnings.append(warning)

    def _waits(self, change: Change) -> bool:
        """Return whether the parent of a run, or the model of its champion, is not sent yet."""
        parent, champion = map(change.run.data.tags.get, (PARENT, CHAMPION))
        if parent and not self.sync_state.server_id(parent) and self._active(parent):
            return True
        run = self._active(champion) if champion and change.ended else None
        return run is not None and not self._files.has_sent_models(run)

    def _active(self, run_id: str) -> MlflowRun | None:
        """Return an active run of the outbox; None if it is deleted, or was never there."""
        try:
            found = self.outbox.get_run(run_id)
        except MlflowException:
            return None
        return found if found.info.lifecycle_stage == "active" else None

    def _send_records(self, run: MlflowRun, server_id: str) -> None:
        points = self._new_points(run)
        batches = zip_longest(
            chunks([Metric(*point) for point in points], METRICS_PER_BATCH),
            chunks([Param(*item) for item in run.data.params.items()], OTHERS_PER_BATCH),
            chunks([RunTag(*item) for item in self._tags(run).items()], OTHERS_PER_BATCH),
            fillvalue=(),
        )
        for metrics, params, tags in batches:
            self.server.log_batch(server_id, metrics, params, tags)
        if datasets := run.inputs.dataset_inputs if run.inputs else []:
            self.server.log_inputs(server_id, datasets)
        self._points.setdefault(run.info.run_id, set()).update(points)
        self._num_points += len(points)

    def _new_points(self, run: MlflowRun) -> list[tuple[str, float, int, int]]:
        """Return the metric values not sent by this process; the server ignores duplicates."""
        sent = self._points.get(run.info.run_id, set())
        found = (
            (point.key, point.value, point.timestamp, point.step)
            for name in run.data.metrics
            for _, point in read_points(self.outbox, [run.info.run_id], name)
        )
        return sorted(set(found) - sent, key=lambda point: (point[2], point[3], point[0]))

    def _send_status(self, change: Change, server_id: str) -> None:
        """Send the state of a training and the run's status, which mark the run as complete."""
        info = change.run.info
        if change.ended and (state := change.run.data.tags.get(STATE)):
            self.server.set_tag(server_id, STATE, state)
        self.server.update_run(server_id, info.status, info.run_name)
        if change.ended:
            self.server.set_terminated(server_id, info.status, info.end_time)
            for copy in self._copies(change.run):
                if copy.info.run_id != server_id:  # created by a delayed request
                    delete_run(self.server, copy)
            self._points.pop(change.run_id, None)

    def _delete(self, change: Change) -> None:
        server_id = self.sync_state.server_id(change.run_id)
        copies = [self.server.get_run(server_id)] if server_id else self._copies(change.run)
        for copy in copies:
            delete_run(self.server, copy)

    def _is_active(self, change: Change, server_id: str) -> bool:
        """Return whether the run on the server is active; a run deleted there stays deleted.

        Raises:
            MlflowException: The server does not have the run; another round creates it again.
        """
        try:
            found_run = self.server.get_run(server_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                self.sync_state.forget(change.run_id)
            raise
        return bool(found_run.info.lifecycle_stage == "active")

    def _copies(self, run: MlflowRun) -> list[MlflowRun]:
        """Return the runs on the server that are copies of a run, the oldest first."""
        found = self.server.search_runs(
            [self._experiment_id(run)],
            f"tags.{ORIGIN} = '{run.info.run_id}'",
            run_view_type=ViewType.ACTIVE_ONLY,
        )
        return sorted(found, key=lambda copy: (copy.info.start_time, copy.info.run_id))

    def _tags(self, run: MlflowRun) -> dict[str, str]:
        """Return the tags of a run's copy: its own, without the state, and its origin."""
        excluded = (TAKEN_FROM, STATE)
        tags = {name: text for name, text in run.data.tags.items() if name not in excluded}
        tags[ORIGIN] = run.info.run_id
        for name in tags.keys() & set(RUN_IDS):
            tags[name] = self.sync_state.server_id(tags[name]) or tags[name]
        return tags

    def _experiment_id(self, run: MlflowRun) -> str:
        """Return the id of the experiment on the server; it is created if it is missing."""
        local = f"experiment/{run.info.experiment_id}"
        known = self.sync_state.server_id(local)
        if known is None:
            name = self.outbox.get_experiment(run.info.experiment_id).name
            found = self.server.get_experiment_by_name(name)
            known = str(found.experiment_id if found else self.server.create_experiment(name))
            self.sync_state.note(local, known)
        return known

    def _describe(self, experiment: Experiment) -> None:
        """Send the tags of an experiment; a description or a view of a user is kept."""
        local = f"experiment/{experiment.experiment_id}"
        server_id, state = self.sync_state.server_id(local), str(sorted(experiment.tags.items()))
        if server_id is None or self.sync_state.state(local) == state:
            return
        present = self.server.get_experiment(server_id).tags
        for name, text in experiment.tags.items():
            if not is_users(name, present.get(name, "")):
                self.server.set_experiment_tag(server_id, name, text)
        self.sync_state.mark(local, state)


def _order(change: Change) -> tuple[bool, int]:
    """Return the place of a run: those that name a champion come last, after the model to register.

    Of several, the sweep that ended last has the alias.
    """
    names_champion = CHAMPION in change.run.data.tags
    return names_champion, (change.run.info.end_time or 0) if names_champion else 0


def chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield parts of a sequence with at most `size` items."""
    return (items[start : start + size] for start in range(0, len(items), size))
