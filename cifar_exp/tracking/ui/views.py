"""Saved views of the runs page of an MLflow experiment, in the format of MLflow's UI.

The format is not documented by MLflow. Its version 3.17 has these views; a test opens them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException

from cifar_exp.tracking.ui.runs import LOG10_LR, SETTING

SHARED_VIEW = "mlflow.sharedViewState."
FORMAT = "deflate;"


def _columns(widths: Mapping[str, int]) -> dict[str, Any]:
    """Return the columns of a view, in this order and of these widths in pixels."""
    names = list(widths)
    return {"selectedColumns": names, "columnOrder": names, "columnWidths": dict(widths)}


VIEWS: Mapping[str, Mapping[str, Any]] = {
    "Ranking": {
        "searchFilter": "tags.kind = 'combination'",
        "orderByKey": "metrics.`rank`",
        "orderByAsc": True,
        **_columns(
            {
                "metrics.`rank`": 75,
                "metrics.`test_accuracy_mean`": 150,
                "metrics.`test_accuracy_std`": 135,
                "params.`lr`": 85,
                "params.`batch_size`": 88,
                "metrics.`seeds`": 58,
                "metrics.`trials`": 55,
                "metrics.`diverged`": 75,
                "metrics.`seconds`": 75,
            }
        ),
    },
    # The row of a group has one aggregate for all columns, such as the highest accuracy and the
    # highest learning rate, which are of different trials. So the only metric is the accuracy, and
    # the setting is a tag, which is not aggregated. Charts show trials.
    "Trials by combination": {
        "searchFilter": "tags.kind = 'trial'",
        "orderByKey": "metrics.`val_accuracy`",
        "orderByAsc": False,
        **_columns({"metrics.`val_accuracy`": 110, f"tags.`{SETTING}`": 280}),
        "groupBy": {
            "aggregateFunction": "max",
            "groupByKeys": [{"mode": "tag", "groupByData": "combination"}],
        },
        "useGroupedValuesInCharts": False,
    },
    "Parallel coordinates": {
        "searchFilter": "tags.kind = 'trial'",
        "orderByKey": "metrics.`val_accuracy`",
        "orderByAsc": False,
        **_columns({"metrics.`val_accuracy`": 110, f"tags.`{SETTING}`": 280}),
        "runsHiddenMode": "SHOWALL",
        "runListHidden": True,
        "isAccordionReordered": True,  # else MLflow sorts its own sections before this one
        "compareRunSections": [
            {
                "uuid": "parallel-coordinates",
                "name": "Parallel coordinates",
                "display": True,
                "isReordered": True,
                "columns": 1,
                "cardHeight": 390,
            }
        ],
        "compareRunCharts": [
            {
                "uuid": "parallel-coordinates-chart",
                "type": "PARALLEL",
                "metricSectionId": "parallel-coordinates",
                "selectedParams": ["batch_size"],
                "selectedMetrics": [LOG10_LR, "val_accuracy"],
                "showAllRuns": True,
                "deleted": False,
                "isGenerated": False,
            }
        ],
    },
}
"""The saved views by name."""

OLDER = {
    "0ecd980fb0b14a53c51cabcf8374f8a4a6439ff886b33e81fd6a604112d91bf7",
    "9761ec2584d4dfc467dd3e95492094bb8a4be9da6ea47dbaf250e3c2a947a316",
}
"""SHA-256 of the views, as JSON, of older versions."""


def save_views(client: mlflow.MlflowClient, experiment_id: str) -> None:
    """Add the views of `VIEWS` to an MLflow experiment, and update those of older versions.

    A view that a user has changed is kept. Errors of the store are ignored, as no result depends on
    a view.
    """
    tags = client.get_experiment(experiment_id).tags
    now = int(time.time() * 1000)
    for name, view in VIEWS.items():
        key = view_tag(name)
        present = _view_of(tags.get(key, ""))
        if present == json.dumps(view) or is_edited(tags.get(key, "")):
            continue
        state = FORMAT + base64.b64encode(zlib.compress(json.dumps(view).encode())).decode()
        saved = {"name": name, "createdAt": now, "updatedAt": now, "state": state}
        with suppress(MlflowException):
            client.set_experiment_tag(experiment_id, key, json.dumps(saved))


def is_edited(text: str) -> bool:
    """Return whether a saved view, the text of a tag, is not one that this program wrote."""
    if not text:
        return False
    view = _view_of(text)
    written = [json.dumps(each) for each in VIEWS.values()]
    return view not in written and hashlib.sha256(view.encode()).hexdigest() not in OLDER


def view_tag(name: str) -> str:
    """Return the tag of an MLflow experiment that has the saved view of this name."""
    return SHARED_VIEW + name.lower().replace(" ", "-")


def _view_of(text: str) -> str:
    """Return the JSON of a saved view, the text of a tag; "" if it is in another format."""
    try:
        packed = json.loads(text)["state"].removeprefix(FORMAT)
        return zlib.decompress(base64.b64decode(packed)).decode()
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return ""
