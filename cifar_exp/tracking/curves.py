"""The epochs of trainings, read for many runs with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.utils.rest_utils import http_request, verify_rest_response

from cifar_exp.statistics.target import Point
from cifar_exp.tracking.store import StoreError

RUNS_PER_REQUEST = 100  # MLflow's own limits, of both
EPOCHS_PER_RUN = 2500
POINTS_PER_QUERY = RUNS_PER_REQUEST * EPOCHS_PER_RUN
PATH = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"

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
    remote = client.tracking_uri.startswith(("http://", "https://"))
    read = _from_server if remote else _from_database
    histories: dict[str, History] = {}
    for start in range(0, len(run_ids), RUNS_PER_REQUEST):
        runs = run_ids[start : start + RUNS_PER_REQUEST]
        for run, epoch, value in read(client, runs, metric):
            histories.setdefault(run, {})[epoch] = value
    return histories


Found = Iterable[tuple[str, int, float]]


def _from_database(client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str) -> Found:
    store = client._tracking_client.store
    found = store.get_metric_history_bulk(list(run_ids), metric, POINTS_PER_QUERY)
    return [(each.run_id, each.step, each.value) for each in found]


def _from_server(client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str) -> Found:
    """Ask the server as MLflow's own pages do: its client would send a request a run."""
    asked = {"run_ids": list(run_ids), "metric_key": metric, "max_results": EPOCHS_PER_RUN}
    credentials = client._tracking_client.store.get_host_creds()
    answer = http_request(credentials, PATH, "GET", params=asked)
    document: Mapping[str, list[dict[str, str]]] = verify_rest_response(answer, PATH).json()
    return [
        (each["run_id"], int(each.get("step", 0)), float(each["value"]))
        for each in document.get("metrics", [])
    ]
