"""The run that `mlflow run` has made for this process."""

from __future__ import annotations

import os

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from cifar_exp.tracking.store.server import StoreError

VARIABLE = "MLFLOW_RUN_ID"


def inherited_run(client: mlflow.MlflowClient) -> Run | None:
    """Return the run that `mlflow run` made for this process, and hide it from child processes.

    Raises:
        StoreError: The variable names no run of this store, or not a new one.
    """
    run_id = os.environ.pop(VARIABLE, None)
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise StoreError(f"{VARIABLE} names run {run_id}, which this store does not hold") from None
    require_new(run)
    return run


def require_new(run: Run) -> None:
    """Raise StoreError where a run is ended or deleted, or is one of this program's already.

    A variable that was left in a shell would otherwise make a sweep of any old run.
    """
    state = (run.info.lifecycle_stage, run.info.status)
    if state != ("active", "RUNNING") or "kind" in run.data.tags:
        raise StoreError(
            f"{VARIABLE} names a run that is not a new one, {run.info.run_name!r}; "
            "unset the variable"
        )
