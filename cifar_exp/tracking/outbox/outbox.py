"""The outbox: a local store to which the runs for a server are written first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
from filelock import FileLock

from cifar_exp.system import sqlite
from cifar_exp.system.paths import outboxes
from cifar_exp.system.urls import is_server
from cifar_exp.tracking.store.artifact_root import local_uri

ADDRESS = "server.txt"


@dataclass(frozen=True, slots=True)
class Outbox:
    """The outbox of one server: a folder with an MLflow store and the sync state."""

    server: str
    """The server's address, without credentials."""
    folder: Path

    @property
    def uri(self) -> str:
        """The tracking URI of the store in the outbox."""
        return sqlite.url_of(self.folder / "mlflow.db")

    @property
    def sync_state_file(self) -> Path:
        """The file of the sync state: what was delivered, and its ids on the server."""
        return self.folder / "delivered.db"

    def alone(self) -> FileLock:
        """Return the lock for push and pull."""
        return FileLock(self.folder / "delivery.lock")

    def open(self) -> None:
        """Create the folder if it is missing, readable by its user only."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / ADDRESS).write_text(self.server, encoding="utf-8")

    def experiment(self, client: mlflow.MlflowClient, name: str) -> str:
        """Return the id of an MLflow experiment in the outbox; artifacts are stored there too."""
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = local_uri(self.folder / "artifacts" / _short(name))
        return str(client.create_experiment(name, location))


def outbox_of(uri: str) -> Outbox:
    """Return the outbox of a server; it need not exist.

    Args:
        uri: The server's address, without credentials.
    """
    return Outbox(uri, outboxes() / _short(uri))


def store_of(uri: str) -> str:
    """Return the URI of the store that runs are written to: the outbox of a server, or `uri`."""
    return outbox_of(uri).uri if is_server(uri) else uri


def is_outbox(uri: str) -> bool:
    """Return whether a store is in an outbox."""
    return any(outbox.uri == uri for outbox in every_outbox())


def every_outbox() -> Iterator[Outbox]:
    """Yield the outboxes of this user."""
    for address in sorted(outboxes().glob(f"*/{ADDRESS}")):
        yield Outbox(address.read_text(encoding="utf-8"), address.parent)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
