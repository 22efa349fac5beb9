"""The epochs of trainings, read for many runs with few requests."""

from __future__ import annotations

from collections.abc import Sequence

import mlflow
from mlflow.exceptions import MlflowException

from cifar_exp.comparison.statistics.survival import Point
from cifar_exp.tracking.store.history import read_points
from cifar_exp.tracking.store.server import StoreError

History = dict[int, float]
"""A metric by epoch."""


def read_curves(
    client: mlflow.MlflowClient, run_ids: Sequence[str]
) -> dict[str, tuple[Point, ...]]:
    """Read validation accuracy and time of every epoch of runs; those without epochs are left out.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        accuracies = _histories(client, run_ids, "val/accuracy")
        seconds = _histories(client, run_ids, "epoch_seconds")
    except MlflowException as error:
        raise StoreError(f"the epochs of the runs cannot be read: {error.message}") from error
    return {
        run: _curve(accuracies[run], seconds.get(run, {})) for run in run_ids if run in accuracies
    }


def read_accuracies(client: mlflow.MlflowClient, run_ids: Sequence[str]) -> dict[str, History]:
    """Read the validation accuracy of every epoch of runs.

    Raises:
        StoreError: The store cannot be read.
    """
    try:
        return _histories(client, run_ids, "val/accuracy")
    except MlflowException as error:
        raise StoreError(f"the epochs of the runs cannot be read: {error.message}") from error


def _curve(accuracies: History, seconds: History) -> tuple[Point, ...]:
    spent, points = 0.0, []
    for epoch, accuracy in sorted(accuracies.items()):
        spent += seconds.get(epoch, 0.0)
        points.append(Point(epoch=epoch, seconds=spent, accuracy=accuracy))
    return tuple(points)


def _histories(
    client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str
) -> dict[str, History]:
    """Return a metric of runs by epoch; of values for the same epoch the last one counts."""
    histories: dict[str, History] = {}
    for run, point in read_points(client, run_ids, metric):
        histories.setdefault(run, {})[point.step] = point.value
    return histories
