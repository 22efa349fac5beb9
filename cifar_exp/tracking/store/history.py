"""Metric histories of many runs, read with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import http_request, verify_rest_response

from cifar_exp.comparison.statistics.survival import Point
from cifar_exp.system.urls import is_server
from cifar_exp.tracking.store.server import StoreError

RUNS_PER_REQUEST = 100  # this and the next are limits of MLflow
EPOCHS_PER_RUN = 2500
POINTS_PER_QUERY = RUNS_PER_REQUEST * EPOCHS_PER_RUN
PATH = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"

Points = Iterable[tuple[str, Metric]]


def read_points(
    client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str
) -> Iterator[tuple[str, Metric]]:
    """Yield the values of a metric, each with the id of its run."""
    read = _from_server if is_server(client.tracking_uri) else _from_database
    for start in range(0, len(run_ids), RUNS_PER_REQUEST):
        yield from read(client, run_ids[start : start + RUNS_PER_REQUEST], metric)


def _from_database(client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str) -> Points:
    store = client._tracking_client.store
    found = store.get_metric_history_bulk(list(run_ids), metric, POINTS_PER_QUERY)
    return [(p.run_id, Metric(metric, p.value, p.timestamp, p.step)) for p in found]


def _from_server(client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str) -> Points:
    """Read with the request of MLflow's UI, as its client would send one request per run."""
    query = {"run_ids": list(run_ids), "metric_key": metric, "max_results": EPOCHS_PER_RUN}
    credentials = client._tracking_client.store.get_host_creds()
    response = http_request(credentials, PATH, "GET", params=query)
    document: Mapping[str, list[dict[str, str]]] = verify_rest_response(response, PATH).json()
    return [
        (
            point["run_id"],
            Metric(
                metric, float(point["value"]), int(point["timestamp"]), int(point.get("step", 0))
            ),
        )
        for point in document.get("metrics", [])
    ]


History = dict[int, float]
"""Values of a metric by epoch."""


def read_curves(
    client: mlflow.MlflowClient, run_ids: Sequence[str]
) -> dict[str, tuple[Point, ...]]:
    """Read validation accuracy and time of every epoch of runs; runs without epochs are omitted.

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
    """Return the values of a metric by run and epoch; the last value of an epoch counts."""
    histories: dict[str, History] = {}
    for run, point in read_points(client, run_ids, metric):
        histories.setdefault(run, {})[point.step] = point.value
    return histories
