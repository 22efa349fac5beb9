"""SQLite, set up for several processes that write to one file."""

from __future__ import annotations

import atexit
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from cifar_exp.errors import Unavailable


def file(url: str) -> Path | None:
    """Return the file of a database; that of a server has none here."""
    path = make_url(url).database if url.startswith("sqlite") else None
    return None if path is None else Path(path).absolute()


def exists(url: str) -> bool:
    """Say whether a database is there already; of a server, its answer will tell."""
    path = file(url)
    return path is None or path.exists()


def check_writable(url: str) -> None:
    """Check that a database of this machine can be written, or made; nothing is made here.

    Raises:
        Unavailable: It cannot.
    """
    path = file(url)
    if path is None:
        return
    folder = path.parent
    reason = None
    if not folder.is_dir():
        reason = f"{folder} is no folder"
    elif not os.access(folder, os.W_OK | os.X_OK):  # SQLite writes a log beside the database
        reason = f"there is no write access to {folder}"
    elif path.exists() and not os.access(path, os.W_OK):
        reason = "there is no write access to it"
    if reason is not None:
        raise Unavailable(f"the database {path} cannot be written: {reason}; name another place")


SECONDS_TO_WAIT = 60
"""How long a file may be locked by others, as a backup or a viewer does, before it is an error."""
WAIT = f"PRAGMA busy_timeout = {SECONDS_TO_WAIT * 1000}"

_open: set[sqlite3.Connection] = set()


def share_files() -> None:
    """Let every SQLite database that this process opens from now on write ahead to a log.

    Readers and a writer then do not wait for each other, and a commit costs a fraction. A killed
    process loses nothing; a power cut may cost the last commits and never the file.
    Where another program has locked the file, everything waits for a minute. At its end the process
    closes what it has opened: the last one to close a database brings the log into its file.
    """
    if not event.contains(Engine, "connect", _write_ahead):
        atexit.register(_close_all)
        event.listen(Engine, "connect", _write_ahead)
        event.listen(Engine, "close", _forget)
        event.listen(Engine, "before_cursor_execute", _wait_longer, retval=True)


def _write_ahead(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):  # other databases are connected to as well
        connection.execute(WAIT)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        _open.add(connection)


def _forget(connection: Any, _: object) -> None:
    _open.discard(connection)


def _close_all() -> None:
    for connection in list(_open):
        with suppress(sqlite3.Error):
            connection.close()


def _wait_longer(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any
) -> tuple[str, Any]:
    """Replace the 20 seconds that MLflow sets with each session."""
    return (WAIT if statement.startswith("PRAGMA busy_timeout =") else statement), parameters
