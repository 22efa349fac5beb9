"""Download of one file that is stored as an artifact of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from cifar_exp.tracking.store.locations import present_location
from cifar_exp.tracking.store.server import StoreError


@contextmanager
def downloaded(client: mlflow.MlflowClient, run_id: str, name: str) -> Iterator[Path]:
    """Yield a copy of an artifact of a run, which exists during the block.

    Raises:
        StoreError: The run does not hold it.
    """
    with TemporaryDirectory() as folder:
        try:
            uri = client.tracking_uri
            location = present_location(uri, client.get_run(run_id).info.artifact_uri)
            path = get_artifact_repository(location, uri).download_artifacts(name, folder)
        except (MlflowException, OSError) as error:
            raise StoreError(f"run {run_id} holds no {name}") from error
        yield Path(path)
