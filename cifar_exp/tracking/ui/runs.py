"""The appearance of the runs of a sweep in MLflow's UI."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import mlflow
from mlflow.entities import Metric, RunTag

from cifar_exp.records import RunRecord

COLOUR = "mlflow.runColor"
SETTING = "setting"
"""Tag of a trial: its learning rate, its batch size and the settings in which trials differ."""
LOG10_LR = "log10_lr"
"""Metric of a trial, as parallel coordinates in MLflow have no logarithmic axis."""


def describe_runs(
    client: mlflow.MlflowClient, records: Sequence[RunRecord], colours: Mapping[str, str]
) -> None:
    """Set the colour of all runs of each combination, and the setting of its trials.

    No request is sent for a run that has them already.
    """
    for combination, colour in colours.items():
        group = [record for record in records if record.combination == combination]
        trials = [r for r in group if r.kind == "trial" and r.params]  # none after a crash
        settings = _settings(trials)
        for record in group:
            tags = {COLOUR: colour, **settings.get(record.run_id, {})}
            metrics = _log10_lr(record) if record.run_id in settings else {}
            _write(client, record, tags, metrics)


def _write(
    client: mlflow.MlflowClient,
    record: RunRecord,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
) -> None:
    """Write the tags and metrics that a run lacks."""
    new_tags = [RunTag(*item) for item in tags.items() if record.tags.get(item[0]) != item[1]]
    now = int(time.time() * 1000)
    new_metrics = [
        Metric(name, value, now, step=0)
        for name, value in metrics.items()
        if name not in record.metrics
    ]
    if new_tags or new_metrics:
        client.log_batch(record.run_id, metrics=new_metrics, tags=new_tags)


def _settings(trials: Sequence[RunRecord]) -> dict[str, dict[str, str]]:
    """Return the tag with the setting of each trial, by its run id."""
    values: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.settings.items():
            values.setdefault(name, set()).add(value)
    names = ["lr", "batch_size", *(name for name, found in values.items() if len(found) > 1)]
    return {trial.run_id: {SETTING: _text(trial, names)} for trial in trials}


def _text(trial: RunRecord, names: Iterable[str]) -> str:
    """Return some params of a trial as a text; numbers have three digits."""
    return ", ".join(
        f"{name} {_short(trial.params[name])}" for name in names if name in trial.params
    )


def _short(value: str) -> str:
    with suppress(ValueError):
        return f"{float(value):.3g}"
    return value


def _log10_lr(trial: RunRecord) -> dict[str, float]:
    return {LOG10_LR: round(math.log10(float(trial.params["lr"])), 4)}
