"""Deletion of runs."""

from __future__ import annotations

import mlflow
from mlflow.entities import Run as MlflowRun

from cifar_exp.records import STATE
from cifar_exp.tracking.run import STATUS_OF


def delete_run(client: mlflow.MlflowClient, run: MlflowRun) -> None:
    """Mark a run as deleted in MLflow; one with status RUNNING is closed first.

    A deleted run cannot be changed, so it would be shown as running until it is purged.
    """
    info = run.info
    if info.status == "RUNNING" and info.lifecycle_stage == "active":
        client.set_terminated(info.run_id, STATUS_OF.get(run.data.tags.get(STATE, ""), "KILLED"))
    client.delete_run(info.run_id)
