"""SQLite settings for several processes that write to one file."""

from __future__ import annotations

import atexit
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import make_url

from cifar_exp.errors import BadInput, Unavailable
from cifar_exp.system.names import utf8


def url_of(path: Path) -> str:
    """Return the URL of a SQLite database; letters with a meaning in URLs, as `%`, are encoded.

    Raises:
        BadInput: The path is not UTF-8.
    """
    text = utf8(path.absolute())
    url = URL.create("sqlite", database=text)
    if url.render_as_string() != f"sqlite:///{text}":
        # MLflow takes what follows `sqlite:///` for the path, and would create its folder.
        url = url.set(drivername="sqlite+pysqlite")
    return url.render_as_string()


def file(url: str) -> Path | None:
    """Return the file of a SQLite database; None for other databases."""
    path = make_url(url).database if url.startswith("sqlite") else None
    return None if path is None else Path(path).absolute()


def exists(url: str) -> bool:
    """Return whether a database exists; a server is assumed to exist."""
    path = file(url)
    return path is None or path.exists()


def require(tracking_uri: str) -> None:
    """Check that the database of an MLflow store exists.

    Raises:
        BadInput: There is no such file.
    """
    if not exists(tracking_uri):
        raise BadInput(f"there is no {file(tracking_uri)}; set --tracking-uri")


def check_writable(url: str) -> None:
    """Check that a SQLite database can be written or created, without creating it.

    Raises:
        Unavailable: The database cannot be written.
    """
    path = file(url)
    if path is None:
        return
    folder = path.parent
    reason = None
    if not folder.is_dir():
        reason = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK):  # SQLite writes a log beside the database
        reason = f"there is no write access to {folder}"
    elif path.exists() and not os.access(path, os.W_OK):
        reason = "there is no write access to the file"
    if reason is not None:
        raise Unavailable(
            f"the database {path} cannot be written: {reason}; choose another location"
        )


SECONDS_TO_WAIT = 60
"""How long to wait for a file that is locked by others, such as a backup or a viewer."""
WAIT = f"PRAGMA busy_timeout = {SECONDS_TO_WAIT * 1000}"

_open: set[sqlite3.Connection] = set()


def share_files() -> None:
    """Use a write-ahead log for every SQLite database that this process opens from now on.

    Readers and a writer then do not block each other, and commits are faster. A killed process
    loses no data; a power failure may lose the last commits but does not damage the file. If
    another program has locked the file, operations wait for up to a minute. At exit the process
    closes its connections: the last one to close merges the log into the file.
    """
    if not event.contains(Engine, "connect", _write_ahead):
        atexit.register(_close_all)
        event.listen(Engine, "connect", _write_ahead)
        event.listen(Engine, "close", _forget)
        event.listen(Engine, "before_cursor_execute", _wait_longer, retval=True)


def _write_ahead(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):  # connections to other databases get here too
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
    """Replace the timeout of 20 seconds that MLflow sets in each session."""
    return (WAIT if statement.startswith("PRAGMA busy_timeout =") else statement), parameters
