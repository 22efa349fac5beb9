"""The folder on this machine in which MLflow stores the files of an experiment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.entities import Experiment
from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
from mlflow.tracking._tracking_service.utils import _SERVER_ARTIFACT_ROOT_ENV_VAR
from mlflow.utils.file_utils import local_file_uri_to_path, path_to_local_file_uri
from mlflow.utils.uri import is_local_uri

from cifar_exp.system import sqlite
from cifar_exp.tracking.store.server import StoreError


def local_uri(folder: Path) -> str:
    """Return a folder for MLflow: its path, or its URI if its name has letters that URIs encode.

    MLflow decodes a path like a URI, so it would take `My%20Repo` for another folder, `My Repo`.
    """
    path = str(folder.absolute())
    uri = str(path_to_local_file_uri(path))
    return path if uri == f"file://{path}" else uri


def folder(tracking_uri: str) -> Path:
    """Return the folder of an SQLite database; of other stores the current folder."""
    database = sqlite.file(tracking_uri)
    return Path.cwd() if database is None else database.parent


@contextmanager
def beside_database(tracking_uri: str) -> Iterator[None]:
    """Let a store that MLflow opens create its experiments in the folder of its database.

    MLflow's default is the current folder, whose path it pastes into SQL and decodes later. It has
    no other setting for the place than the variable of its server.
    """
    if _SERVER_ARTIFACT_ROOT_ENV_VAR in os.environ:
        yield
        return
    root = folder(tracking_uri) / DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    os.environ[_SERVER_ARTIFACT_ROOT_ENV_VAR] = local_uri(root)
    try:
        yield
    finally:
        del os.environ[_SERVER_ARTIFACT_ROOT_ENV_VAR]


def check_location(experiment: Experiment) -> None:
    """Check that MLflow writes the files of an experiment to the folder that its location names.

    Raises:
        StoreError: MLflow would write to another folder, as it decodes the name.
    """
    location = str(experiment.artifact_location)
    if not is_local_uri(location) or location.startswith("file:"):
        return
    written = str(local_file_uri_to_path(location))
    if written != location:
        raise StoreError(
            f"MLflow would write the files of its experiment {experiment.name!r} to {written} "
            f"instead of {location}: rename the folder, or choose another MLflow experiment"
        )
