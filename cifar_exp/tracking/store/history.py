"""Every point of a metric, read for many runs with few requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import mlflow
from mlflow.entities import Metric
from mlflow.utils.rest_utils import http_request, verify_rest_response

from cifar_exp.tracking.store.server import is_server

RUNS_PER_REQUEST = 100  # MLflow's own limits, of both
EPOCHS_PER_RUN = 2500
POINTS_PER_QUERY = RUNS_PER_REQUEST * EPOCHS_PER_RUN
PATH = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"

Found = Iterable[tuple[str, Metric]]


def read_points(
    client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str
) -> Iterator[tuple[str, Metric]]:
    """Give the points of a metric, each with the id of its run."""
    read = _from_server if is_server(client.tracking_uri) else _from_database
    for start in range(0, len(run_ids), RUNS_PER_REQUEST):
        yield from read(client, run_ids[start : start + RUNS_PER_REQUEST], metric)


def _from_database(client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str) -> Found:
    store = client._tracking_client.store
    found = store.get_metric_history_bulk(list(run_ids), metric, POINTS_PER_QUERY)
    return [(p.run_id, Metric(metric, p.value, p.timestamp, p.step)) for p in found]


def _from_server(client: mlflow.MlflowClient, run_ids: Sequence[str], metric: str) -> Found:
    """Ask the server as MLflow's own pages do: its client would send a request a run."""
    asked = {"run_ids": list(run_ids), "metric_key": metric, "max_results": EPOCHS_PER_RUN}
    credentials = client._tracking_client.store.get_host_creds()
    answer = http_request(credentials, PATH, "GET", params=asked)
    document: Mapping[str, list[dict[str, str]]] = verify_rest_response(answer, PATH).json()
    return [
        (
            each["run_id"],
            Metric(metric, float(each["value"]), int(each["timestamp"]), int(each.get("step", 0))),
        )
        for each in document.get("metrics", [])
    ]
