"""Trainings as logs of TensorBoard: a folder for each, with its curves and its hyperparameters.

The summaries of the HParams page are written into the folder of the training itself.
`SummaryWriter.add_hparams` would create another run for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import closing
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Experiment, HParamInfo, MetricInfo, MetricName
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
    numbers = _numbers(trainings)
    columns = _columns(trainings, numbers)
    for training in trainings:
        with closing(EventFileWriter(str(folder / of[training.record.run_id]))) as writer:
            for event in _events(training, columns, numbers):
                writer.add_event(event)


def _events(
    training: ExportedTraining, columns: Summary.Value, numbers: Set[str]
) -> Iterator[Event]:
    """Yield the events of a training; steps are epochs, times are those of the run."""
    start = training.record.start_time / 1000
    end = training.epochs[-1].timestamp / 1000 if training.epochs else start
    yield _event(start, 0, columns, _start(training, start, numbers))
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


def _columns(trainings: Sequence[ExportedTraining], numbers: Set[str]) -> Summary.Value:
    """Return the columns of the HParams page, accuracies before other metrics.

    It is the same in every folder, as TensorBoard reads one of them.
    """
    values: dict[str, set[str]] = {}
    for training in trainings:
        for name, text in _hparams(training).items():
            values.setdefault(name, set()).add(text)
    metrics = {name for training in trainings for name in training.record.metrics}
    experiment = Experiment(
        hparam_infos=[_info(name, found, name in numbers) for name, found in values.items()],
        metric_infos=[
            MetricInfo(name=MetricName(tag=name))
            for name in sorted(metrics, key=lambda name: ("accuracy" not in name, name))
        ],
    )
    return _summary(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))


def _info(name: str, values: Set[str], is_number: bool) -> HParamInfo:
    """Return a column of hyperparameters; TensorBoard shows those that differ first."""
    kind = "DATA_TYPE_FLOAT64" if is_number else "DATA_TYPE_STRING"
    info = HParamInfo(name=name, type=kind, differs=len(values) > 1)
    if not is_number:
        info.domain_discrete.extend(sorted(values))
    return info


def _start(training: ExportedTraining, time: float, numbers: Set[str]) -> Summary.Value:
    info = SessionStartInfo(start_time_secs=time)
    for name, text in _hparams(training).items():
        if name in numbers:
            info.hparams[name].number_value = float(text)
        else:
            info.hparams[name].string_value = text
    return _summary(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def _end(training: ExportedTraining, time: float) -> Summary.Value:
    status = STATUS.get(training.state, "STATUS_UNKNOWN")
    info = SessionEndInfo(status=status, end_time_secs=time)
    return _summary(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _summary(tag: str, data: Any) -> Summary.Value:
    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))


def _hparams(training: ExportedTraining) -> dict[str, str]:
    """Return the params of a training, and what it is."""
    record = training.record
    return {
        **record.params,
        "combination": record.combination or record.name,
        "kind": record.kind,
        "study": str(record.study),
        "state": "diverged" if record.diverged else training.state,
    }


def _numbers(trainings: Sequence[ExportedTraining]) -> set[str]:
    """Return the names of the hyperparameters that are numbers in all trainings."""
    texts = [item for training in trainings for item in _hparams(training).items()]
    return {name for name, _ in texts} - {name for name, text in texts if not _is_number(text)}


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
