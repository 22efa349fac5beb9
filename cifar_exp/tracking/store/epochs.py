"""All metrics of every epoch of many trainings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import mlflow
from mlflow.exceptions import MlflowException

from cifar_exp.records import Point, RunRecord
from cifar_exp.tracking.store.history import read_points
from cifar_exp.tracking.store.server import StoreError


def read_epochs(
    client: mlflow.MlflowClient, trainings: Sequence[RunRecord]
) -> dict[str, tuple[Point, ...]]:
    """Read all metrics of every epoch of trainings, by run id; a run without epochs is omitted.

    Raises:
        StoreError: The store cannot be read.
    """
    values: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    times: dict[tuple[str, int], int] = {}
    try:
        for metric in sorted({name for training in trainings for name in training.metrics}):
            runs = [training.run_id for training in trainings if metric in training.metrics]
            for run, point in read_points(client, runs, metric):
                if point.step > 0:  # metrics of the whole training have step 0
                    values[run][point.step][metric] = point.value
                    times[run, point.step] = point.timestamp
    except MlflowException as error:
        raise StoreError(f"the epochs of the runs cannot be read: {error.message}") from error
    return {
        run: tuple(Point(step, times[run, step], epochs[step]) for step in sorted(epochs))
        for run, epochs in values.items()
    }
