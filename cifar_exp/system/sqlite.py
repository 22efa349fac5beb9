"""SQLite settings for several processes that write to one file."""

from __future__ import annotations

import atexit
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

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
    try:
        return path is None or path.exists()
    except PermissionError:
        raise Unavailable(f"{path} cannot be read: there is no access to its folder") from None


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
    elif not _is_allowed(folder, os.W_OK | os.X_OK):  # SQLite writes a log beside the database
        reason = f"there is no write access to {folder}"
    elif path.exists() and not _is_allowed(path, os.W_OK):
        reason = "there is no write access to the file"
    if reason is not None:
        raise Unavailable(
            f"the database {path} cannot be written: {reason}; choose another location"
        )


def is_writable(path: Path) -> bool:
    """Return whether a database file, and its folder, can be written."""
    return _is_allowed(path.parent, os.W_OK | os.X_OK) and _is_allowed(path, os.W_OK)


def _is_allowed(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


SECONDS_TO_WAIT = 60
"""How long to wait for a file that is locked by others, such as a backup or a viewer."""
LOG_FAILURES = (
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMLOCK,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)
"""Errors of a write-ahead log on a file system without the shared memory that it needs.

A full disk has other codes.
"""
WAIT = f"PRAGMA busy_timeout = {SECONDS_TO_WAIT * 1000}"

_open: set[sqlite3.Connection] = set()


def connect(path: Path, **options: Any) -> sqlite3.Connection:
    """Open a database file; an existing one that cannot be written is opened for reading.

    Args:
        path: The file.
        options: Further arguments of `sqlite3.connect`.

    Raises:
        sqlite3.OperationalError: The file cannot be opened.
    """
    if path.exists() and not is_writable(path):
        return connect_to_read(path, **options)
    options.setdefault("timeout", SECONDS_TO_WAIT)
    connection: sqlite3.Connection = sqlite3.connect(path, **options)
    return connection


def connect_to_read(path: Path, **options: Any) -> sqlite3.Connection:
    """Open a database file for reading, also where neither it nor its folder can be written.

    Raises:
        sqlite3.OperationalError: The file cannot be opened.
    """
    options.setdefault("timeout", SECONDS_TO_WAIT)
    if not _is_allowed(path, os.R_OK):
        raise sqlite3.OperationalError("there is no read access to the file")
    logs = [log for log in _logs(path) if log.exists()]
    try:
        # SQLite creates a log even for reading. Without one nobody writes, so none is needed; one
        # that this user owns could not be written by the owner of the database.
        return _open_as(path, "mode=ro" if logs or is_writable(path) else "immutable=1", options)
    except sqlite3.OperationalError:
        for log in logs:
            if log.stat().st_size:
                raise sqlite3.OperationalError(
                    f"it cannot be written here, and {log.name} is not merged into it; ask its "
                    "owner to run `cifar-exp doctor`, or copy both files to a folder of your own"
                ) from None
        return _open_as(path, "immutable=1", options)


def _logs(path: Path) -> list[Path]:
    return [path.with_name(f"{path.name}-{kind}") for kind in ("wal", "journal")]


def _open_as(path: Path, mode: str, options: Mapping[str, Any]) -> sqlite3.Connection:
    address = f"file:{quote(str(path))}?{mode}"
    connection: sqlite3.Connection = sqlite3.connect(address, uri=True, **options)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def share_files() -> None:
    """Use a write-ahead log for every SQLite database that this process opens from now on.

    Readers and a writer then do not block each other, and commits are faster. A killed process
    loses no data; a power failure may lose the last commits but does not damage the file. If
    another program has locked the file, operations wait for up to a minute. At exit the process
    closes its connections: the last one to close merges the log into the file.

    A file on a file system without the shared memory that such a log needs, as some network file
    systems, has a rollback journal instead. One that cannot be written is opened for reading.
    """
    if not event.contains(Engine, "connect", _prepare):
        atexit.register(_close_all)
        event.listen(Engine, "do_connect", _connect)
        event.listen(Engine, "connect", _prepare)
        event.listen(Engine, "close", _forget)
        event.listen(Engine, "before_cursor_execute", _wait_longer, retval=True)


def _connect(dialect: Any, _record: object, words: Any, options: Any) -> Any:
    """Open a file of SQLite for SQLAlchemy; None leaves it to SQLAlchemy."""
    if dialect.name != "sqlite" or options.get("uri") or words[0] == ":memory:":
        return None
    return connect(Path(words[0]), **options)


def _prepare(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):  # connections to other databases get here too
        prepare(connection)
        _open.add(connection)


def prepare(connection: sqlite3.Connection) -> None:
    """Set the timeout of a connection, and use a write-ahead log where that works.

    Raises:
        sqlite3.Error: The file cannot be used.
    """
    connection.execute(WAIT)
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    if path.is_file() and not is_writable(path):
        return
    if path.is_file() and (_has_log(path) or _logs_work(path.parent)):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def _has_log(path: Path) -> bool:
    """Return whether a database has a write-ahead log; one that does not work is removed."""
    try:
        with closing(sqlite3.connect(path, timeout=SECONDS_TO_WAIT)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master")
            return bool(connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in LOG_FAILURES:
            raise
        _remove_log(path)
        return False


def _remove_log(path: Path) -> None:
    """Replace a write-ahead log by a rollback journal, without the memory that processes share."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")  # before the first access
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        raise sqlite3.OperationalError(
            f"{error}; if it is on a network file system, use a folder of this machine"
        ) from None


@cache
def _logs_work(folder: Path) -> bool:
    """Return whether write-ahead logs work in a folder; tried with a file that is removed again.

    A failed try would leave the database itself unusable for the processes that have it open.
    """
    with (
        TemporaryDirectory(dir=folder, prefix=".sqlite-") as temporary,
        closing(sqlite3.connect(Path(temporary) / "try.db")) as connection,
    ):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE tried (number INTEGER)")
            return bool(connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal")
        except sqlite3.OperationalError:
            return False


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
