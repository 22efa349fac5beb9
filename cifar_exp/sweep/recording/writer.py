"""Writes a sweep to MLflow and Optuna in a background thread, in the order of the entries.

So a slow store delays no trainer. Entries are queued in a `Spool`; queued epochs of the same
training are written by one request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from multiprocessing import Pipe
from typing import Self

from cifar_exp.components.datasets import Dataset
from cifar_exp.records import RunRecord, study_label
from cifar_exp.study import StoredStudy, TrialResult
from cifar_exp.sweep.recording import training_run
from cifar_exp.sweep.schedule.task import Key, Task
from cifar_exp.system import fault_injection, signals
from cifar_exp.system.spool import Spool
from cifar_exp.tracking import Point, Run, Tracker
from cifar_exp.training import checkpoint
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Outcome

MAX_IN_MEMORY = 10_000  # entries, mostly epochs: a few megabytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """A training starts."""

    task: Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """A training is retried, as its trainer has died."""

    key: Key
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """A training has finished an epoch."""

    key: Key
    timestamp: int
    """Milliseconds since 1970."""
    metrics: EpochMetrics


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class End:
    """A training has ended."""

    task: Task
    outcome: Outcome
    keep_model: bool
    result: TrialResult | None
    """The result of a trial for its study."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DropModel:
    """The stored model of a training is no longer needed."""

    key: Key


Entry = Begin | Attempt | Epoch | End | DropModel


class Records:
    """The runs of a sweep in MLflow, and its studies in Optuna.

    Args:
        tracker: The MLflow store.
        data: The data set.
        threads: CPU threads of each trainer.
        parents: The run id of each combination by its name.
        records: The existing runs of all combinations.
        studies: The stored studies by their labels.
        system_metrics: Whether to record the load of this machine during confirmations.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        data: Dataset,
        threads: int,
        parents: Mapping[str, str],
        records: Sequence[RunRecord],
        studies: Mapping[str, StoredStudy],
        system_metrics: bool = False,
    ) -> None:
        self._tracker = tracker
        self._data = data
        self._threads = threads
        self._parents = parents
        self._records = [record for record in records if not record.finished]
        self._studies = studies
        self._system_metrics = system_metrics
        self._runs: dict[Key, Run] = {}
        self._run_ids = {
            (study_label(r.combination or "", r.study), "trial", r.number or 0): r.run_id
            for r in records
            if r.kind == "trial"
        }

    def write(self, entries: Iterable[Entry]) -> None:
        """Write entries in order; consecutive epochs are written together."""
        for is_epoch, group in groupby(entries, key=lambda entry: isinstance(entry, Epoch)):
            if is_epoch:
                self._write_epochs(group)  # type: ignore[arg-type]
            else:
                for entry in group:
                    self._write(entry)

    def _write(self, entry: Entry) -> None:
        match entry:
            case Begin(task=task):
                self._start(task)
            case Attempt(key=key, number=number):
                self._runs[key].set_tags({"attempts": str(number)})
            case End():
                self._finish(entry)
            case DropModel(key=key):
                self._tracker.delete_models(self._run_ids[key])

    def _start(self, task: Task) -> None:
        confirms = {} if task.confirms is None else {"confirms": str(task.confirms)}
        run = self._tracker.open_run(
            task.kind,
            task.name,
            parent=self._parents[task.combination],
            tags={
                "combination": task.combination,
                "combination_id": task.combination_id,
                "study": str(task.study),
                "number": str(task.number),
                **confirms,
            },
            params=training_run.params(task.config, self._data, self._threads),
            known=self._records,
        )
        run.log_dataset(self._data)
        if self._system_metrics and task.kind == "confirmation":
            run.monitor_system()
        self._runs[task.key] = run
        self._run_ids[task.key] = run.run_id

    def _write_epochs(self, epochs: Iterable[Epoch]) -> None:
        """Write the metrics of several epochs, with one request per training."""
        points: dict[Key, list[Point]] = {}
        for epoch in epochs:
            named = training_run.epoch_metrics(epoch.metrics)
            point = Point(epoch.metrics.epoch, epoch.timestamp, named)
            points.setdefault(epoch.key, []).append(point)
        for key, group in points.items():
            self._runs[key].log_epochs(group)

    def _finish(self, entry: End) -> None:
        task = entry.task
        run = self._runs.pop(task.key)
        fault_injection.point("before_end", training=task.name)
        loss = task.config.loss_settings
        training_run.end(run, entry.outcome, self._data, loss, keep_model=entry.keep_model)
        checkpoint.remove(task.checkpoint(self._tracker.uri))
        fault_injection.point("before_tell", training=task.name)
        if entry.result is not None:
            self._studies[task.label].add(entry.result, run.run_id)


class Writer:
    """Queues entries and writes them in a background thread.

    Used as a context manager; at its exit all entries are written, unless writing has failed.

    Args:
        records: The destination.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._spool: Spool[Entry] = Spool(MAX_IN_MEMORY)
        self._error: BaseException | None = None
        self.failed, self._alarm = Pipe(duplex=False)
        """A connection that becomes readable when writing has failed."""
        self._ended = threading.Event()  # an interrupted Thread.join marks the thread as ended

    def __enter__(self) -> Self:
        """Start the thread."""
        threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write the queued entries, unless writing has failed."""
        self._spool.close()
        self._ended.wait()

    def put(self, entry: Entry) -> None:
        """Queue an entry."""
        self._spool.put(entry)

    def epoch(self, task: Task, metrics: EpochMetrics) -> None:
        """Queue an epoch that has just finished."""
        self.put(Epoch(key=task.key, timestamp=int(time.time() * 1000), metrics=metrics))

    def close(self) -> None:
        """Wait until everything is written.

        Raises:
            Exception: The error of a failed write.
        """
        self._spool.close()
        self._ended.wait()
        self.check()

    def check(self) -> None:
        """Raise the error of a failed write, if there is one."""
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        signals.leave_to_main_thread()
        try:
            while entries := self._spool.take():
                self._records.write(entries)
        except BaseException as error:
            self._error = error
            self._alarm.send(None)
        finally:
            self._ended.set()
