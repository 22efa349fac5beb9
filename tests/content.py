"""The content of an MLflow store, without ids and addresses, which differ between stores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import mlflow
from mlflow.entities import FileInfo, ViewType

from cifar_exp.records import RunRecord

PARENT = "mlflow.parentRunId"
OF_THE_COPY = {"outbox_run_id", "server_run_id"}


def content(uri: str, *, timed: bool = False) -> list[dict[str, Any]]:
    """Describe every active run of a store, in an order that does not depend on ids.

    Args:
        uri: The store.
        timed: Whether to include times and measured durations.
    """
    client = mlflow.MlflowClient(uri)
    runs = _runs(client)
    names = {run.info.run_id: run.info.run_name for run in runs}
    described = [_run(client, run, names, timed) for run in runs]
    return sorted(described, key=lambda run: (run["name"], str(run["params"])))


def results(client: mlflow.MlflowClient, trainings: Iterable[RunRecord]) -> dict[str, Any]:
    """Describe each training by the data that no interruption may change, without measured times.

    The description is unchanged when it is written as JSON and read again.
    """
    return {
        record.name: {
            "state": record.state,
            "params": dict(record.params),
            "points": {
                name: _points(client, record.run_id, name, ["step", "value"])
                for name in sorted(record.metrics)
                if not _is_measured(name)
            },
        }
        for record in trainings
    }


def _runs(client: mlflow.MlflowClient) -> list[mlflow.entities.Run]:
    everywhere = [each.experiment_id for each in client.search_experiments()]
    return list(client.search_runs(everywhere, run_view_type=ViewType.ACTIVE_ONLY))


def _run(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, names: dict[str, str | None], timed: bool
) -> dict[str, Any]:
    tags = {name: text for name, text in run.data.tags.items() if name not in OF_THE_COPY}
    parent = tags.pop(PARENT, None)
    if champion := tags.get("champion"):
        tags["champion"] = names.get(champion) or champion
    inputs = run.inputs.dataset_inputs if run.inputs else []
    clock = {"start": run.info.start_time, "end": run.info.end_time} if timed else {}
    return {
        "experiment": client.get_experiment(run.info.experiment_id).name,
        "name": run.info.run_name,
        "status": run.info.status,
        "parent": names.get(parent or "", parent),
        "params": dict(run.data.params),
        "tags": tags,
        "points": {
            name: _points(client, run.info.run_id, name, _fields_of_a_point(name, timed))
            for name in run.data.metrics
        },
        "datasets": [d.dataset.to_dictionary() for d in inputs],
        "artifacts": sorted(_artifacts(client, run.info.run_id)),
        "models": _models(client, run),
        **clock,
    }


def _fields_of_a_point(metric: str, timed: bool) -> list[str]:
    if timed:
        return ["step", "value", "timestamp"]
    return ["step"] if _is_measured(metric) else ["step", "value"]


def _is_measured(metric: str) -> bool:
    """Return whether the values of a metric depend on the machine and its load."""
    return "second" in metric or metric.startswith("peak_")


def _points(
    client: mlflow.MlflowClient, run_id: str, metric: str, fields: list[str]
) -> list[list[float]]:
    points = client.get_metric_history(run_id, metric)
    return sorted([getattr(point, each) for each in fields] for point in points)


def _artifacts(client: mlflow.MlflowClient, run_id: str, path: str = "") -> Iterator[str]:
    found: list[FileInfo] = client.list_artifacts(run_id, path)
    for file in found:
        if file.is_dir:
            yield from _artifacts(client, run_id, file.path)
        else:
            yield file.path


def _models(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> list[tuple[str, str, bool]]:
    """Return the models of a run, and whether each one is an output of the run."""
    found_outputs = run.outputs.model_outputs if run.outputs else []
    outputs = {output.model_id for output in found_outputs}
    found = client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
    )
    return [(model.name, str(model.status), model.model_id in outputs) for model in found]
