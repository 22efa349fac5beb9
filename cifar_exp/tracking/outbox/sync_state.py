"""The sync state of an outbox: ids on the server, and the states that were delivered."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cifar_exp.system.sqlite import SECONDS_TO_WAIT

TABLE = "CREATE TABLE IF NOT EXISTS entries (local TEXT PRIMARY KEY, server TEXT, state TEXT)"
UPSERT = """
INSERT INTO entries (local, {column}) VALUES (?, ?)
ON CONFLICT (local) DO UPDATE SET {column} = excluded.{column}
"""


class SyncState:
    """Entries of runs, models, experiments and files, by their ids in the outbox.

    It is a separate database, so that the relay does not write to the store of the trainings. If it
    is lost, it can be rebuilt from the tags of the runs on the server.
    """

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, timeout=SECONDS_TO_WAIT, isolation_level=None)
        self._file.execute(TABLE)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def server_ids(self) -> dict[str, str]:
        """Return all ids on the server by the ids in the outbox."""
        found = self._file.execute("SELECT local, server FROM entries WHERE server IS NOT NULL")
        return dict(found.fetchall())

    def server_id(self, local: str) -> str | None:
        """Return the id on the server of an object in the outbox; None if it has none."""
        return self._get("server", local)

    def state(self, local: str) -> str | None:
        """Return the delivered state of an object; None if it is not delivered."""
        return self._get("state", local)

    def note(self, local: str, server: str) -> None:
        """Store the id on the server of an object in the outbox."""
        self._put("server", local, server)

    def mark(self, local: str, state: str) -> None:
        """Store the delivered state of an object."""
        self._put("state", local, state)

    def forget(self, local: str) -> None:
        """Delete an entry, so that the object is delivered again."""
        self._file.execute("DELETE FROM entries WHERE local = ?", (local,))

    def _get(self, column: str, local: str) -> str | None:
        found = self._file.execute(f"SELECT {column} FROM entries WHERE local = ?", (local,))
        row = found.fetchone()
        return None if row is None else row[0]

    def _put(self, column: str, local: str, value: str) -> None:
        self._file.execute(UPSERT.format(column=column), (local, value))
