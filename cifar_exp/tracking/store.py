"""The MLflow store: where it is, and whether it can be used."""

from __future__ import annotations

import logging
import os
import sqlite3
import urllib.error
import urllib.request
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import sqlalchemy
import sqlalchemy.exc
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from sqlalchemy.engine import make_url

from cifar_exp import sqlite
from cifar_exp.errors import Unavailable
from cifar_exp.folders import lock_file
from cifar_exp.holds import store_name
from cifar_exp.redaction import hide, secrets_in
from cifar_exp.wording import without_credentials

SECONDS_TO_ANSWER = 5
QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # a bar a file
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines and a request a run on a server
}
UNUSABLE = (
    MlflowException,
    sqlalchemy.exc.SQLAlchemyError,
    sqlite3.Error,
    OSError,
    ImportError,  # the database's driver is not installed
    ValueError,  # the address has a port that is no number
)

DATABASES = ("postgresql", "mysql", "mssql")

Client = mlflow.MlflowClient


class StoreError(Unavailable):
    """The tracking store cannot be reached, read or written."""


def default_uri() -> str:
    """Return MLFLOW_TRACKING_URI, or else the database file `mlflow.db` in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').absolute()}"


def connect(uri: str) -> mlflow.MlflowClient:
    """Return a client of the store at `uri`, which is created if it is a new database.

    Several processes may call this at once: MLflow makes its tables unguarded, so a lock does.

    Raises:
        StoreError: The server does not answer, or the database cannot be opened.
    """
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # It prints the traceback of an error that it raises as well, on a full disk for example.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    for silenced, value in QUIET.items():
        os.environ.setdefault(silenced, value)
    sqlite.share_files()
    if uri.startswith("sqlite:"):
        _check_file(uri)
    elif uri.startswith(DATABASES):
        _check_database(uri)
    check_server(uri)
    try:
        with FileLock(lock_file(f"tables {store_name(uri)}")):
            mlflow.set_tracking_uri(uri)
            client = mlflow.MlflowClient(uri)
            client.search_experiments(max_results=1)
    except UnsupportedModelRegistryStoreURIException:
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: MLflow has no such kind "
            "of store; name a database such as sqlite:///mlflow.db, or a server by http://"
        ) from None
    except UNUSABLE as error:
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: "
            f"{hide(_first_line(error), secrets_in(uri))}"
        ) from error
    return client


def check_server(uri: str) -> None:
    """Ask the server at `uri`, if it is one, for its health: MLflow itself retries for minutes.

    Raises:
        StoreError: The server does not answer.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(_health_request(uri), timeout=SECONDS_TO_ANSWER).close()
    except urllib.error.HTTPError as error:
        raise StoreError(
            f"the MLflow server {without_credentials(uri)} answers {error.code} to /health; "
            "is it MLflow?"
        ) from None
    except (OSError, ValueError) as error:
        reason = hide(str(getattr(error, "reason", error)), secrets_in(uri))
        raise StoreError(
            f"the MLflow server {without_credentials(uri)} does not answer ({reason}); "
            "start it, or set MLFLOW_TRACKING_URI to another store"
        ) from None


def _health_request(uri: str) -> urllib.request.Request:
    """Ask for the health of a server, with the user and password that its address may hold.

    urllib would take them for a part of the host's name.
    """
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(f"{parts.scheme}://{host}{parts.path.rstrip('/')}/health")
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", f"Basic {b64encode(user.encode()).decode()}")
    return request


def exists(uri: str) -> bool:
    """Say whether a store is there already; of a server, its answer will tell."""
    return sqlite.exists(uri)


def _check_file(uri: str) -> None:
    """Open a database file once, as MLflow itself would try for more than a minute."""
    try:
        with closing(sqlite3.connect(make_url(uri).database or ":memory:")) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: {error}"
        ) from None


def _check_database(uri: str) -> None:
    """Connect to a database server once, as MLflow itself would try for more than a minute."""
    try:
        engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
        engine.connect().close()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError) as error:
        driver = "; install its driver" if isinstance(error, ImportError) else ""
        raise StoreError(
            f"the MLflow store {without_credentials(uri)} cannot be used: "
            f"{_first_line(error)}{driver}"
        ) from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
