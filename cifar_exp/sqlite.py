"""SQLite, set up for several processes that write to one file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url


def file(url: str) -> Path | None:
    """Return the file of a database; that of a server has none here."""
    path = make_url(url).database if url.startswith("sqlite") else None
    return None if path is None else Path(path).absolute()


def exists(url: str) -> bool:
    """Say whether a database is there already; of a server, its answer will tell."""
    path = file(url)
    return path is None or path.exists()


def share_files() -> None:
    """Let every SQLite database that this process opens from now on write ahead to a log.

    Readers and a writer then do not wait for each other, and a commit costs a fraction. A killed
    process loses nothing; a power cut may cost the last commits and never the file.
    """
    if not event.contains(Engine, "connect", _write_ahead):
        event.listen(Engine, "connect", _write_ahead)


def _write_ahead(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):  # other databases are connected to as well
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
