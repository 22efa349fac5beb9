"""The appearance of a sweep in MLflow's UI: colours of runs, description, saved views."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from cifar_exp.records import RunRecord

COLOUR = "mlflow.runColor"
NOTE = "mlflow.note.content"
OURS = "**Ranking of the sweep**"
LONGEST_NOTE = 20000  # MLflow's limit of an experiment's tag
SHARED_VIEW = "mlflow.sharedViewState."
VIEWS: Mapping[str, Mapping[str, Any]] = {
    "Ranking": {
        "searchFilter": "tags.kind = 'combination'",
        "orderByKey": "metrics.`rank`",
        "orderByAsc": True,
        "selectedColumns": [
            *("metrics.`rank`", "metrics.`test_accuracy_mean`", "metrics.`test_accuracy_std`"),
            *("metrics.`seeds`", "metrics.`trials`", "metrics.`diverged`", "metrics.`seconds`"),
            *("params.`lr`", "params.`batch_size`"),
        ],
    },
    "Trials by combination": {
        "searchFilter": "tags.kind = 'trial'",
        "orderByKey": "metrics.`val_accuracy`",
        "orderByAsc": False,
        "selectedColumns": [
            *("metrics.`val_accuracy`", "metrics.`epochs_trained`", "metrics.`seconds`"),
            *("params.`lr`", "params.`batch_size`"),
        ],
        "groupBy": {
            "aggregateFunction": "max",
            "groupByKeys": [{"mode": "tag", "groupByData": "combination"}],
        },
    },
}
"""Saved views of the runs page by name, in the format of MLflow's UI."""


def colour_runs(
    client: mlflow.MlflowClient, records: Iterable[RunRecord], colours: Mapping[str, str]
) -> None:
    """Set the colour of all runs of a combination; no request is sent if it is set already."""
    for record in records:
        colour = colours.get(record.combination or "")
        if colour is not None and record.tags.get(COLOUR) != colour:
            client.set_tag(record.run_id, COLOUR, colour)


def describe_experiment(client: mlflow.MlflowClient, experiment_id: str, text: str) -> None:
    """Set the description of an MLflow experiment to a ranking, unless a user has written one."""
    present = client.get_experiment(experiment_id).tags.get(NOTE, "")
    note = f"{OURS}\n\n{text}"
    if (not present or present.startswith(OURS)) and len(note) <= LONGEST_NOTE:
        client.set_experiment_tag(experiment_id, NOTE, note)


def save_views(client: mlflow.MlflowClient, experiment_id: str) -> None:
    """Add the saved views of `VIEWS` to an MLflow experiment.

    The format is not documented by MLflow, so errors of the store are ignored.
    """
    tags = client.get_experiment(experiment_id).tags
    now = int(time.time() * 1000)
    for name, view in VIEWS.items():
        key = SHARED_VIEW + view_key(name)
        if key in tags:
            continue
        state = "deflate;" + base64.b64encode(zlib.compress(json.dumps(view).encode())).decode()
        saved = {"name": name, "createdAt": now, "updatedAt": now, "state": state}
        with suppress(MlflowException):
            client.set_experiment_tag(experiment_id, key, json.dumps(saved))


def view_key(name: str) -> str:
    """Return the key of a saved view in addresses."""
    return name.lower().replace(" ", "-")
