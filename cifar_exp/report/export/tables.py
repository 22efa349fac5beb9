"""Trainings as tables in CSV: a line for each training, and one for each of its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cifar_exp.report.export.training import ExportedTraining
from cifar_exp.report.text.csv_table import Line, csv_table

NAMES = ("run_id", "name", "kind", "combination", "combination_id", "study", "number")
OUTCOME = ("state", "diverged", "reason", "counted", "started")


def write_tables(trainings: Sequence[ExportedTraining], folder: Path) -> None:
    """Write `trainings.csv` and `curves.csv` into a folder."""
    (folder / "trainings.csv").write_text(trainings_csv(trainings), encoding="utf-8")
    (folder / "curves.csv").write_text(curves_csv(trainings), encoding="utf-8")


def trainings_csv(trainings: Sequence[ExportedTraining]) -> str:
    """Return one line per training: what it is, its outcome, last metrics and params."""
    return csv_table([_of_training(training) for training in trainings], (*NAMES, *OUTCOME))


def curves_csv(trainings: Sequence[ExportedTraining]) -> str:
    """Return one line per training and epoch, with the metrics of the epoch."""
    lines = [
        {**_names(training), "epoch": point.epoch, "time": _time(point.timestamp), **point.metrics}
        for training in trainings
        for point in training.epochs
    ]
    return csv_table(lines, (*NAMES, "epoch", "time"))


def _of_training(training: ExportedTraining) -> Line:
    record = training.record
    return {
        **record.params,
        **record.metrics,
        **_names(training),
        "state": training.state,
        "diverged": record.diverged,
        "reason": record.tags.get("reason", ""),
        "counted": training.counted,
        "started": _time(record.start_time),
    }


def _names(training: ExportedTraining) -> Line:
    return {name: getattr(training.record, name) for name in NAMES}


def _time(milliseconds: int) -> str:
    """Return a time in ISO 8601, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
