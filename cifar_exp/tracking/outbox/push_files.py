"""Pushes the files of runs in an outbox to the server: artifacts and stored models."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModel
from mlflow.entities import Run as MlflowRun
from mlflow.utils.file_utils import local_file_uri_to_path

from cifar_exp.tracking.outbox import copy_model
from cifar_exp.tracking.outbox.changes import Change
from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.store.stored_files import Files, logged_model, stored_model

READY, DELETED = "ready", "deleted"


class FilePush:
    """Sends files that are not delivered, and updates the sync state afterwards.

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

    def send(self, change: Change, server_id: str) -> None:
        """Send artifacts and models; the local files of a delivered model are deleted."""
        run = change.run
        folder = Path(local_file_uri_to_path(run.info.artifact_uri))
        if folder.is_dir():
            self._send_artifacts(folder, change.run_id, server_id)
        outputs = run.outputs.model_outputs if run.outputs else []
        steps = {output.model_id: output.step for output in outputs}
        existing = {model.model_id: model for model in change.models}
        for model_id, step in steps.items():
            if model_id in existing:
                self._send_model(existing[model_id], server_id, step)
            else:
                self._delete_model(model_id)

    def has_sent_models(self, run: MlflowRun) -> bool:
        """Return whether every model that a run has in the outbox is on the server."""
        outputs = run.outputs.model_outputs if run.outputs else []
        unsent = [o.model_id for o in outputs if self.sync_state.state(o.model_id) is None]
        return not any(logged_model(self.outbox, model_id) for model_id in unsent)

    def _send_artifacts(self, folder: Path, run_id: str, server_id: str) -> None:
        contents = _contents(folder)
        if self.sync_state.state(f"files/{run_id}") != contents:
            self.server.log_artifacts(server_id, str(folder))
            self.sync_state.mark(f"files/{run_id}", contents)

    def _send_model(self, model: LoggedModel, server_id: str, step: int) -> None:
        if self.sync_state.state(model.model_id) != READY:
            found = self.server.get_run(server_id)
            copy = copy_model.place_copy(model, self.server, found, step)
            self.sync_state.note(model.model_id, copy.model_id)
            copy_model.fill_copy(model, self.server, copy, server_id)
            self.sync_state.mark(model.model_id, READY)
        with suppress(OSError):
            Files(self.outbox, model.artifact_location).delete()

    def _delete_model(self, model_id: str) -> None:
        copy = self.sync_state.server_id(model_id)
        if copy is not None and self.sync_state.state(model_id) != DELETED:
            if found := stored_model(self.server, copy):
                found.delete()
            self.sync_state.mark(model_id, DELETED)


def _contents(folder: Path) -> str:
    """Return a hash of the names, sizes and modification times of a folder's files."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(str(stats).encode()).hexdigest()
