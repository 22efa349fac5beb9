"""Reads the runs of an experiment from MLflow as records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast, get_args

import mlflow
from mlflow.entities import Dataset, ViewType
from mlflow.entities import Run as MlflowRun

from cifar_exp.records import STATE, Kind, RunRecord, TrialState
from cifar_exp.tracking.store.search import pages, quoted
from cifar_exp.tracking.store.stored_files import Files

RUNS_PER_PAGE = 1000
OF_THE_SYSTEM = "system/"
"""Begins the metrics that MLflow samples from the machine; their steps are not epochs."""


def read_records(client: mlflow.MlflowClient, experiment: str, **tags: str) -> list[RunRecord]:
    """Return the runs with an experiment's name and these tags, the oldest first."""
    conditions = {"experiment": experiment, **tags}
    filter_string = " and ".join(
        f"tags.`{key}` = {quoted(value)}" for key, value in conditions.items()
    )
    found = [record_of(run) for run in search_runs(client, filter_string) if is_ours(run)]
    return sorted(found, key=lambda record: (record.start_time, record.number or 0))


def deleted_runs(client: mlflow.MlflowClient, experiment: str) -> Iterator[MlflowRun]:
    """Yield the deleted runs of an experiment; MLflow keeps them until its own gc."""
    condition = f"tags.experiment = {quoted(experiment)}"
    found = search_runs(client, condition, run_view_type=ViewType.DELETED_ONLY)
    return (run for run in found if is_ours(run))


def files_of_deleted_runs(client: mlflow.MlflowClient, experiment: str) -> Iterator[Files]:
    """Yield the files of each deleted run of an experiment."""
    return (Files(client, run.info.artifact_uri) for run in deleted_runs(client, experiment))


def experiments(client: mlflow.MlflowClient) -> set[str]:
    """Return the names of all experiments that have runs in a store."""
    found = search_runs(client, "tags.experiment LIKE '%'")
    return {run.data.tags["experiment"] for run in found if is_ours(run)}


def read_sweeps(client: mlflow.MlflowClient) -> list[RunRecord]:
    """Return the runs of the sweeps of all experiments; the one that began last is the last."""
    found = search_runs(client, "tags.kind = 'sweep' and tags.experiment LIKE '%'")
    return sorted(map(record_of, found), key=lambda record: record.start_time)


def record_of(run: MlflowRun) -> RunRecord:
    """Return a run of this program as a record."""
    tags = {"study": "1", **run.data.tags}  # older versions had one study
    dataset = _dataset(run)
    return RunRecord(
        run_id=run.info.run_id,
        experiment=tags["experiment"],
        kind=cast(Kind, tags["kind"]),
        name=run.info.run_name,
        status=run.info.status,
        start_time=_number(tags.get("resumed")) or run.info.start_time,
        parent=tags.get("mlflow.parentRunId"),
        combination=tags.get("combination"),
        combination_id=tags.get("combination_id"),
        study=_number(tags["study"]) or 1,
        number=_number(tags.get("number")),
        state=cast(TrialState | None, tags.get(STATE)),
        diverged="diverged" in tags,
        confirms=_number(tags.get("confirms")),
        data_digest=dataset.digest if dataset else None,
        test_images=_in_profile(dataset, "test"),
        num_classes=_in_profile(dataset, "classes"),
        params=run.data.params,
        metrics=_of_training(run.data.metrics),
        tags=tags,
    )


def search_runs(
    client: mlflow.MlflowClient, filter_string: str, **options: Any
) -> Iterator[MlflowRun]:
    """Yield the runs that match a filter, of all MLflow experiments."""
    everywhere = [e.experiment_id for e in pages(client.search_experiments)]
    return pages(
        client.search_runs,
        experiment_ids=everywhere,
        filter_string=filter_string,
        max_results=RUNS_PER_PAGE,
        **options,
    )


def is_ours(run: MlflowRun) -> bool:
    """Return whether a run with an experiment's name was created by this program."""
    return run.data.tags.get("kind") in get_args(Kind)


def _dataset(run: MlflowRun) -> Dataset | None:
    """Return a run's data set input; None if there is none."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return next((dataset_input.dataset for dataset_input in inputs), None)


def _in_profile(dataset: Dataset | None, name: str) -> int | None:
    """Return a number in the profile of a data set that this program wrote, else None."""
    try:
        return int(json.loads((dataset and dataset.profile) or "{}")[name])
    except (KeyError, TypeError, ValueError):
        return None


def _number(text: str | None) -> int | None:
    """Return the number in a tag; None for other text, which this program did not write."""
    return int(text) if text is not None and text.isdecimal() else None


def _of_training(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics without those that MLflow samples from the machine."""
    return {name: value for name, value in metrics.items() if not name.startswith(OF_THE_SYSTEM)}
