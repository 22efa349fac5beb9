"""Locations of stored files: where a database says that they are, and where they belong.

MLflow records absolute locations, so a copied or moved database names the files of the original.
The files of an SQLite store belong in the folder of its database.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from cifar_exp.system import sqlite
from cifar_exp.tracking.store.artifact_root import local_uri

DEFAULT = re.compile(r"(?P<home>.*)/(?P<root>(?:mlruns/\d+|artifacts/[0-9a-f]{16}))(?P<rest>/.*)?")
"""The locations that MLflow and an outbox choose: in a folder for each MLflow experiment."""
NO_STORE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Errors of a file that is no database, and of one without MLflow's tables."""
SMALLEST_PAGE = 512  # bytes; a database is a whole number of pages


@dataclass(frozen=True, slots=True)
class Location:
    """A default location: the folder of the store, the experiment's in it, the rest."""

    home: Path
    root: str
    rest: str

    def within(self, folder: Path) -> Path:
        """Return the same location in the folder of another store."""
        return folder / f"{self.root}{self.rest}"


def parse(location: str) -> Location | None:
    """Return the parts of a local default location; None for one that a user has chosen."""
    if not is_local_uri(location):
        return None
    found = DEFAULT.fullmatch(local_file_uri_to_path(location))
    return found and Location(Path(found["home"] or "/"), found["root"], found["rest"] or "")


def present_location(tracking_uri: str, location: str) -> str:
    """Return where files are: beside the database if they are there, else where it says."""
    database = sqlite.file(tracking_uri)
    parsed = parse(location) if database is not None else None
    if database is None or parsed is None:
        return location
    beside = parsed.within(database.parent)
    return local_uri(beside) if beside.exists() else location


def may_be_deleted(tracking_uri: str, location: str) -> bool:
    """Return whether files belong to this store alone: only then they may be deleted.

    Files of an SQLite store do if they are in the folder of its database, symbolic links resolved,
    and no other database in that folder names them.
    """
    database = sqlite.file(tracking_uri)
    if database is None:
        return True
    if not is_local_uri(location):
        return False
    path, home = Path(local_file_uri_to_path(location)).resolve(), database.parent.resolve()
    folders = [folder for folder in path.parents if folder.is_relative_to(home)]
    others = (other for other in _databases(folders) if not is_same(other, database))
    return bool(folders) and not any(_names(other, location) for other in others)


def other_owner(database: Path, location: str, folder: Path) -> Path | None:
    """Return the database in a folder that has the experiment with this location, too."""
    query = "SELECT creation_time FROM experiments WHERE artifact_location = ?"
    experiment = _first(database, query, location)
    for other in _databases([folder]):
        if not is_same(other, database) and _first(other, query, location) == experiment:
            return other
    return None


def is_same(first: Path, second: Path) -> bool:
    """Return whether two paths are one file or folder, by any name."""
    try:
        return first.samefile(second)
    except OSError:
        return False


def _names(database: Path, location: str) -> bool:
    """Return whether a database names the files of a run or a model, or cannot be read.

    It may itself be a copy that still names the folder of its original.
    """
    query = """
        SELECT 1 FROM runs WHERE artifact_uri LIKE ?1
        UNION SELECT 1 FROM logged_models
        WHERE artifact_location LIKE ?1 AND lifecycle_stage = 'active'
    """
    parsed = parse(location)
    pattern = f"%/{parsed.within(Path())}" if parsed else location
    try:
        return _first(database, query, pattern) is not None
    except sqlite3.Error:
        return True


def _first(database: Path, query: str, argument: str) -> int | None:
    """Return the first number that a query finds; None also if this is no MLflow store."""
    try:
        with closing(sqlite.connect_to_read(database)) as connection:
            found = connection.execute(query, (argument,)).fetchone()
            return None if found is None else int(found[0])
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in NO_STORE:
            return None
        raise


def _databases(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the files directly in some folders that may be SQLite databases, by their size.

    They are not opened to look: closing a file would release SQLite's locks of it.
    """
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                size = entry.stat().st_size if entry.is_file() else 0
                if size and size % SMALLEST_PAGE == 0:
                    yield Path(entry.path)
