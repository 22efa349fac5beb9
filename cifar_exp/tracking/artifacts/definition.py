"""The definition of a sweep, stored as an artifact of its run."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.exceptions import MlflowException

from cifar_exp.tracking.store.server import StoreError

FILE = "experiment.toml"


def read_definition(client: mlflow.MlflowClient, run_id: str) -> str:
    """Read the text of the definition of a sweep.

    Raises:
        StoreError: The run has no definition.
    """
    with TemporaryDirectory() as folder:
        try:
            path = client.download_artifacts(run_id, FILE, folder)
            return Path(path).read_text(encoding="utf-8")
        except (MlflowException, OSError, UnicodeDecodeError) as error:
            raise StoreError(f"run {run_id} holds no {FILE}") from error
