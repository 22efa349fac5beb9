"""Trainings as logs of TensorBoard: a folder for each, with its curves and its hyperparameters.

The summaries of the HParams page are written into the folder of the training itself.
`SummaryWriter.add_hparams` would create another run for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from cifar_exp.report.export.training import ExportedTraining, folders

STATUS: Mapping[str, str] = {
    "COMPLETE": "STATUS_SUCCESS",
    "PRUNED": "STATUS_SUCCESS",
    "FAIL": "STATUS_FAILURE",
    "RUNNING": "STATUS_RUNNING",
}
"""The status of TensorBoard by state; others are `STATUS_UNKNOWN`."""


def write_tensorboard(trainings: Sequence[ExportedTraining], folder: Path) -> None:
    """Write the logs of trainings into subfolders of a folder."""
    of = folders(trainings)
    for training in trainings:
        with closing(EventFileWriter(str(folder / of[training.record.run_id]))) as writer:
            for event in _events(training):
                writer.add_event(event)


def _events(training: ExportedTraining) -> Iterator[Event]:
    """Yield the events of a training; steps are epochs, times are those of the run."""
    start = training.record.start_time / 1000
    end = training.epochs[-1].timestamp / 1000 if training.epochs else start
    yield _event(start, 0, _start(training, start))
    for point in training.epochs:
        yield _event(point.timestamp / 1000, point.epoch, *_scalars(point.metrics))
    of_epochs = {name for point in training.epochs for name in point.metrics}
    at_end = {n: value for n, value in training.record.metrics.items() if n not in of_epochs}
    last = training.epochs[-1].epoch if training.epochs else 0
    yield _event(end, last, *_scalars(at_end), _end(training, end))


def _event(time: float, step: int, *values: Summary.Value) -> Event:
    return Event(wall_time=time, step=step, summary=Summary(value=values))


def _scalars(metrics: Mapping[str, float]) -> list[Summary.Value]:
    return [Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]


def _start(training: ExportedTraining, time: float) -> Summary.Value:
    info = SessionStartInfo(start_time_secs=time)
    for name, value in _hparams(training).items():
        if isinstance(value, float):
            info.hparams[name].number_value = value
        else:
            info.hparams[name].string_value = value
    return _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def _end(training: ExportedTraining, time: float) -> Summary.Value:
    status = Status.Value(STATUS.get(training.state, "STATUS_UNKNOWN"))
    info = SessionEndInfo(status=status, end_time_secs=time)
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _summary(tag: str, data: Any) -> Summary.Value:
    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))


def _hparams(training: ExportedTraining) -> dict[str, str | float]:
    """Return the params of a training, and what it is."""
    record = training.record
    names = {
        "combination": record.combination or record.name,
        "kind": record.kind,
        "study": str(record.study),
        "state": "diverged" if record.diverged else training.state,
    }
    return {name: _value(text) for name, text in {**record.params, **names}.items()}


def _value(text: str) -> str | float:
    """Return a number as a number, so that TensorBoard can sort by it."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
