"""Relocation: makes an MLflow store that was copied or moved name its own files.

It is done before anything is written. The files themselves are neither moved nor changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from cifar_exp.errors import Unavailable
from cifar_exp.system import sqlite
from cifar_exp.system.formatting import counted
from cifar_exp.tracking.store.artifact_root import local_uri
from cifar_exp.tracking.store.locations import (
    Location,
    is_same,
    other_owner,
    parse,
)


class Misplaced(Unavailable):
    """A store was copied or moved without all of its files."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column with locations of files."""

    table: str
    name: str
    condition: str = "TRUE"


EXPERIMENTS = Column("experiments", "artifact_location")
RUNS = Column("runs", "artifact_uri")
MODELS = Column("logged_models", "artifact_location")
COLUMNS = (
    EXPERIMENTS,
    RUNS,
    MODELS,
    Column("model_versions", "source"),
    Column("model_versions", "storage_location"),
    Column("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)


@dataclass(frozen=True, slots=True)
class Named:
    """A location in a row of the database."""

    column: Column
    row: int
    text: str
    location: Location

    def is_in(self, home: Path) -> bool:
        """Return whether its folder exists in the folder of a store."""
        return _is_folder(self.location.within(home))


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one MLflow experiment that is not in the folder of the database."""

    home: Path
    root: str
    named: list[Named] = field(default_factory=list)
    """The locations in it."""

    @property
    def path(self) -> Path:
        """The folder that the database names."""
        return self.home / self.root

    def count(self, column: Column) -> int:
        """Return the number of locations in a column."""
        return sum(named.column == column for named in self.named)


def relocate(database: Path, *, dry_run: bool = False) -> list[str]:
    """Make a store name the files beside its database; return sentences for the user.

    The locations of an MLflow experiment are changed if its files are beside the database, or if
    there are none.

    Args:
        database: The file of the store.
        dry_run: Whether to return the sentences only.

    Raises:
        Misplaced: Files are missing beside the database; nothing was changed.
        sqlite3.Error: The database cannot be read or written.
    """
    with closing(sqlite.connect(database)) as connection:
        misplaced = _misplaced(connection, database.parent)
        if not misplaced:
            return []
        moving = [folder for folder in misplaced if _belongs_here(folder, database)]
        if not dry_run:
            _move(connection, moving, database.parent)
    kept = [folder for folder in misplaced if folder not in moving]
    return [*_moved(database, moving), *_kept(database, kept)]


def _misplaced(connection: sqlite3.Connection, home: Path) -> list[Folder]:
    folders: dict[tuple[Path, str], Folder] = {}
    here = {home: True}
    for named in _locations(connection, home):
        place, root = named.location.home, named.location.root
        if place not in here:
            here[place] = is_same(place, home)
        if not here[place]:
            folders.setdefault((place, root), Folder(place, root)).named.append(named)
    return list(folders.values())


def _locations(connection: sqlite3.Connection, home: Path) -> Iterator[Named]:
    """Yield the default locations that do not begin with the folder of the database."""
    beside = f"{local_uri(home)}/"
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    for column in COLUMNS:
        if column.table in tables:
            query = f"SELECT rowid, {column.name} FROM {column.table} WHERE {column.condition}"
            elsewhere = f"{query} AND substr({column.name}, 1, ?) != ?"
            for row, text in connection.execute(elsewhere, (len(beside), beside)).fetchall():
                if location := parse(text):
                    yield Named(column, row, text, location)


def _belongs_here(folder: Folder, database: Path) -> bool:
    """Return whether the files of an experiment are beside the database, or nowhere.

    Raises:
        Misplaced: Some are missing beside the database, or all are those of another store.
    """
    own = database.parent / folder.root
    trainings = [named for named in folder.named if named.column != EXPERIMENTS]
    beside = {named for named in trainings if named.is_in(database.parent)}
    left = [n for n in trainings if n not in beside and n.is_in(folder.home)]
    if left and beside:
        raise _incomplete(folder, database, f"{len(left)} of its folders are missing")
    if left:
        if other := _owner(folder, database):
            raise _incomplete(folder, database, f"they belong to {other}")
        return False
    if folder.count(MODELS) and not (own.is_dir() or _is_folder(folder.path)):
        raise Misplaced(
            f"{database} names files in {folder.path}, which cannot be found: move them to {own}, "
            "or create an empty folder there if they are not needed any more"
        )
    return True


def _owner(folder: Folder, database: Path) -> Path | None:
    """Return another database in the home of an experiment's files that has the experiment."""
    locations = [named.text for named in folder.named if named.column == EXPERIMENTS]
    found = (other_owner(database, location, folder.home) for location in locations)
    return next((other for other in found if other is not None), None)


def _incomplete(folder: Folder, database: Path, reason: str) -> Misplaced:
    return Misplaced(
        f"{database} was copied from {folder.home} without all of its files ({reason}): "
        f"copy {folder.path} to {database.parent / folder.root} too, or use the original"
    )


def _is_folder(path: Path) -> bool:
    """Return whether a folder exists; one without access counts as missing."""
    try:
        return path.is_dir()
    except PermissionError:
        return False


def _move(connection: sqlite3.Connection, folders: list[Folder], home: Path) -> None:
    """Change the locations in some folders to those beside the database, all or none."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for named in (named for folder in folders for named in folder.named):
            table, name = named.column.table, named.column.name
            connection.execute(
                f"UPDATE {table} SET {name} = ? WHERE rowid = ?",
                (local_uri(named.location.within(home)), named.row),
            )


def _moved(database: Path, folders: list[Folder]) -> Iterator[str]:
    runs, models = (sum(folder.count(column) for folder in folders) for column in (RUNS, MODELS))
    if runs or models:
        homes = ", ".join(sorted({str(folder.home) for folder in folders}))
        yield (
            f"{database} was copied or moved here from {homes}: the locations of "
            f"{counted(runs, 'run')} and {counted(models, 'model')} are changed to this folder"
        )


def _kept(database: Path, folders: list[Folder]) -> Iterator[str]:
    if folders:
        places = ", ".join(str(folder.path) for folder in folders)
        yield (
            f"files of {database} are outside of its folder and are never deleted: {places}; "
            f"move them into {database.parent} if they belong there"
        )
