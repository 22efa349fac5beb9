"""The run that `mlflow run` created for this process."""

from __future__ import annotations

import os

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from cifar_exp.tracking.store.artifact_root import check_location
from cifar_exp.tracking.store.server import StoreError

VARIABLE = "MLFLOW_RUN_ID"


def inherited_run(client: mlflow.MlflowClient) -> Run | None:
    """Return the run that `mlflow run` created for this process, and hide it from child processes.

    Raises:
        StoreError: The variable names a run that is not in this store or not new, or MLflow would
            write its files to another folder.
    """
    run_id = os.environ.pop(VARIABLE, None)
    if run_id is None:
        return None
    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise StoreError(f"{VARIABLE} names run {run_id}, which this store does not hold") from None
    require_new(run)
    check_location(client.get_experiment(run.info.experiment_id))
    return run


def require_new(run: Run) -> None:
    """Raise StoreError if a run has ended, is deleted or is already used by this program.

    Otherwise a variable left in a shell could turn any old run into a sweep.
    """
    state = (run.info.lifecycle_stage, run.info.status)
    if state != ("active", "RUNNING") or "kind" in run.data.tags:
        raise StoreError(
            f"{VARIABLE} names a run that is not a new one, {run.info.run_name!r}; "
            "unset the variable"
        )
