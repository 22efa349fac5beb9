"""The predictions of a network on the test set, stored as an artifact of its run."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np

from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.tracking.artifacts.download import downloaded
from cifar_exp.tracking.store.server import StoreError

FILE = "predictions.npz"
DAMAGED = (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error)
"""Errors that numpy raises for invalid files; pickled content is not allowed."""


def log_predictions(client: mlflow.MlflowClient, run_id: str, predictions: Predictions) -> None:
    """Store predictions as `predictions.npz`, with one array per field that is known."""
    arrays = {name: array for name, array in asdict(predictions).items() if array is not None}
    with TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        np.savez_compressed(path, **arrays)
        client.log_artifact(run_id, str(path))


def read_predictions(client: mlflow.MlflowClient, run_id: str) -> Predictions:
    """Read the predictions of a confirmation on the test set.

    Raises:
        StoreError: The run has no predictions, or the file is damaged.
    """
    with downloaded(client, run_id, FILE) as path:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return Predictions(**arrays)
        except DAMAGED as error:
            raise StoreError(f"the {FILE} of run {run_id} is damaged") from error
