"""The metrics of every epoch of an experiment's trainings, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cifar_exp import tracking
from cifar_exp.api.comparison import read_results
from cifar_exp.comparison.counted import members_of, sweep_of
from cifar_exp.records import TRAININGS, RunRecord

RUN = "run_id"
ORDER = ("combination", "study", "kind", "number")
COLUMNS = (*ORDER, "state", "seed", "lr", "batch_size", RUN)


def read_curves(name: str, *, tracking_uri: str | None = None) -> pd.DataFrame:
    """Return the metrics of every epoch of all trainings of an experiment, read from MLflow.

    A row is an epoch of a training. The columns are `combination`, `study`, `kind` (trial or
    confirmation), `number`, `state` (COMPLETE, PRUNED, FAIL; None if it is not finished), `seed`,
    `lr`, `batch_size`, `run_id`, `epoch`, and the metrics as MLflow names them: `train/loss`,
    `val/accuracy`, ..., `epoch_seconds`, `images_per_second`.

    Args:
        name: The experiment's name in its definition.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.

    Raises:
        BadInput: The store holds no sweep of that name.
        Unavailable: The store cannot be read.

    Example:
        ```python
        curves = cifar_exp.read_curves("mine")
        curves.groupby(["combination", "epoch"])["val/accuracy"].mean().unstack(0).plot()
        ```
    """
    results = read_results(name, tracking.resolve_uri(tracking_uri))
    members = members_of(results.records, sweep_of(results.records, results.sweep_run_id))
    ids = {member.combination_id for member in members}
    trainings = [
        r
        for r in results.records
        if r.kind in TRAININGS and r.combination_id in ids and r.params  # none after a crash
    ]
    rows = [
        {RUN: run, "epoch": point.epoch, **point.metrics}
        for run, points in tracking.read_epochs(results.client, trainings).items()
        for point in points
    ]
    epochs = pd.DataFrame(rows, columns=None if rows else [RUN, "epoch"])
    described = pd.DataFrame(map(_described, trainings), columns=COLUMNS)
    found = described.merge(epochs, on=RUN)
    return found.sort_values([*ORDER, "epoch"], ignore_index=True)


def _described(training: RunRecord) -> tuple[Any, ...]:
    """Return the values of `COLUMNS`."""
    params = training.params
    return (
        *(training.combination, training.study, training.kind, training.number, training.state),
        *(int(params["seed"]), float(params["lr"]), int(params["batch_size"]), training.run_id),
    )
