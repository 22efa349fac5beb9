"""The sync state of an outbox: the id of each thing on the server, and which state is there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cifar_exp.system.sqlite import SECONDS_TO_WAIT

TABLE = "CREATE TABLE IF NOT EXISTS entries (local TEXT PRIMARY KEY, server TEXT, state TEXT)"
PUT = """
INSERT INTO entries (local, {column}) VALUES (?, ?)
ON CONFLICT (local) DO UPDATE SET {column} = excluded.{column}
"""


class SyncState:
    """Entries of runs, models, experiments and files, by their ids in the outbox.

    It is a file of its own, so that whoever delivers writes nothing to the store that the
    trainings write to. Where it is lost, the tags of the runs on the server tell the same.
    """

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, timeout=SECONDS_TO_WAIT, isolation_level=None)
        self._file.execute(TABLE)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def server_ids(self) -> dict[str, str]:
        """Return the ids on the server by the ids in the outbox."""
        found = self._file.execute("SELECT local, server FROM entries WHERE server IS NOT NULL")
        return dict(found.fetchall())

    def server_id(self, local: str) -> str | None:
        """Return the id on the server of what is in the outbox."""
        return self._get("server", local)

    def state(self, local: str) -> str | None:
        """Return the state in which something was delivered."""
        return self._get("state", local)

    def note(self, local: str, server: str) -> None:
        """Note the id on the server of what is in the outbox."""
        self._put("server", local, server)

    def mark(self, local: str, state: str) -> None:
        """Note the state in which something was delivered."""
        self._put("state", local, state)

    def forget(self, local: str) -> None:
        """Forget something, which is then delivered anew."""
        self._file.execute("DELETE FROM entries WHERE local = ?", (local,))

    def _get(self, column: str, local: str) -> str | None:
        found = self._file.execute(f"SELECT {column} FROM entries WHERE local = ?", (local,))
        row = found.fetchone()
        return None if row is None else row[0]

    def _put(self, column: str, local: str, value: str) -> None:
        self._file.execute(PUT.format(column=column), (local, value))
