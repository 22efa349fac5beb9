"""Connection to an MLflow store."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import mlflow
import sqlalchemy
import sqlalchemy.exc
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from sqlalchemy.engine import make_url

from cifar_exp.system import sqlite
from cifar_exp.system.formatting import first_line
from cifar_exp.system.paths import lock_file
from cifar_exp.system.urls import hide, is_server, secrets_in, store_name, without_credentials
from cifar_exp.tracking.store import artifact_root, relocation
from cifar_exp.tracking.store.server import StoreError, check_server, move_credentials

QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # one bar per file
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines and a request per run on a server
}
UNUSABLE = (
    MlflowException,
    sqlalchemy.exc.SQLAlchemyError,
    sqlite3.Error,
    OSError,
    ImportError,  # the database's driver is not installed
    ValueError,  # the port in the address is not a number
)

DATABASES = ("postgresql", "mysql", "mssql")

Client = mlflow.MlflowClient


def resolve_uri(given: str | None) -> str:
    """Return the tracking URI to use.

    The user and password of a server are moved from its address into MLflow's environment
    variables, as MLflow prints the address in its messages.

    Args:
        given: A tracking URI; default: MLFLOW_TRACKING_URI, if unset `mlflow.db` in the current
            folder.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI")
    uri = uri or sqlite.url_of(Path("mlflow.db"))
    return move_credentials(uri) if is_server(uri) else uri


def connect(uri: str) -> mlflow.MlflowClient:
    """Return a client of the store at `uri` to read and write; a new database is created.

    A database that was copied or moved is made to name its own files first, with a warning.

    Several processes may call this at the same time: a lock protects the creation of the tables,
    which MLflow does not protect itself.

    Raises:
        StoreError: The server does not respond, or the database cannot be opened.
        Unavailable: The database cannot be written, or lacks its files.
    """
    if sqlite.exists(uri):
        sqlite.check_writable(uri)
    return _connect(uri, relocate)


def connect_to_read(uri: str) -> mlflow.MlflowClient:
    """Return a client of the store at `uri` that is not changed; the store must exist.

    Raises:
        BadInput: There is no such database.
        StoreError: The server does not respond, or the database cannot be opened.
    """
    sqlite.require(uri)
    return _connect(uri, lambda _: None)


def _connect(uri: str, prepare: Callable[[str], None]) -> mlflow.MlflowClient:
    configure()
    if uri.startswith(DATABASES):
        _check_database(uri)
    elif is_server(uri):
        check_server(uri)
    try:
        with FileLock(lock_file(f"tables {store_name(uri)}")), artifact_root.beside_database(uri):
            if sqlite.file(uri) is not None:
                _check_file(uri)  # under the lock: another process may be creating the tables
            client = mlflow.MlflowClient(uri)
            client.search_experiments(max_results=1)
            prepare(uri)
    except UnsupportedModelRegistryStoreURIException:
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: unknown kind "
            "of store; use a database such as sqlite:///mlflow.db, or a server (http://)"
        ) from None
    except UNUSABLE as error:
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: "
            f"{hide(first_line(error), secrets_in(uri))}"
        ) from error
    return client


def relocate(uri: str, *, dry_run: bool = False) -> None:
    """Make a store that was copied or moved name its own files, with a warning.

    Raises:
        Misplaced: It lacks its files; nothing was changed.
    """
    database = sqlite.file(uri)
    if database is not None and database.is_file():
        for sentence in relocation.relocate(database, dry_run=dry_run):
            _artifact_repos_cache.clear()  # MLflow's, by run: the original has the same runs
            _warn(sentence)


@cache
def _warn(sentence: str) -> None:
    """Print a warning, once per process."""
    print(f"warning: {sentence}", file=sys.stderr)


@cache
def configure() -> None:
    """Configure logging, environment and SQLite for MLflow, once per process."""
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # It prints the traceback of errors that it also raises, for example on a full disk.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    for silenced, value in QUIET.items():
        os.environ.setdefault(silenced, value)
    sqlite.share_files()


def exists(uri: str) -> bool:
    """Return whether a store exists; a server is assumed to exist."""
    return sqlite.exists(uri)


def _check_file(uri: str) -> None:
    """Open a database file once, as MLflow itself would retry for more than a minute."""
    try:
        path = make_url(uri).database or ":memory:"
        with closing(sqlite.connect(Path(path))) as connection:
            sqlite.prepare(connection)
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: {error}"
        ) from None


def _check_database(uri: str) -> None:
    """Connect to a database server once, as MLflow itself would retry for more than a minute."""
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
        engine.connect().close()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        driver = "; install its driver" if isinstance(error, ImportError) else ""
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: "
            f"{hide(first_line(error), secrets_in(uri))}{driver}"
        ) from None
