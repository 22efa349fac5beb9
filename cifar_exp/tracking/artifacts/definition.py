"""The definition of a sweep, stored as an artifact of its run."""

from __future__ import annotations

import mlflow

from cifar_exp.tracking.artifacts.download import downloaded
from cifar_exp.tracking.store.server import StoreError

DEFINITION_FILE = "experiment.toml"


def read_definition(client: mlflow.MlflowClient, run_id: str) -> str:
    """Read the text of the definition of a sweep.

    Raises:
        StoreError: The run has no definition.
    """
    with downloaded(client, run_id, DEFINITION_FILE) as path:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"run {run_id} holds no {DEFINITION_FILE}") from error
