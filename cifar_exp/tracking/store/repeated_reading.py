"""The runs of an experiment, read again and again while a sweep writes them."""

from __future__ import annotations

import mlflow

from cifar_exp.records import RunRecord
from cifar_exp.tracking.store.history import read_accuracies
from cifar_exp.tracking.store.records import is_ours, record_of, search_runs
from cifar_exp.tracking.store.search import quoted

MARGIN = 5_000
"""Milliseconds before the newest end, from which on ended runs are read again.

One process ends all runs of a sweep, in order; the margin is for its clock, which may be set.
"""


class RepeatedReading:
    """Reads the runs of an experiment; from the second time on, those that run or have ended since.

    Args:
        client: A client of the store.
        experiment: The name of the experiment.
    """

    def __init__(self, client: mlflow.MlflowClient, experiment: str) -> None:
        self._client = client
        self._runs = f"tags.experiment = {quoted(experiment)}"
        self._records: dict[str, RunRecord] = {}
        self._newest_end = 0
        self._newest = 0

    @property
    def newest(self) -> int:
        """When the newest thing happened that was read: a start, an end or a metric of a run.

        In milliseconds since 1970.
        """
        return self._newest

    def records(self) -> list[RunRecord]:
        """Return the runs of the experiment as they are now, the oldest first."""
        running = self._search("attributes.status = 'RUNNING'")
        ended = self._search(f"attributes.end_time >= {max(self._newest_end - MARGIN, 0)}")
        known = {key: r for key, r in self._records.items() if r.status != "RUNNING"}
        self._records = {**known, **running, **ended}
        return sorted(self._records.values(), key=lambda r: (r.start_time, r.number or 0))

    def epochs(self) -> dict[str, int]:
        """Return the finished epochs of the trainings that run, by the ids of their runs."""
        running = [key for key, record in self._records.items() if record.status == "RUNNING"]
        histories = read_accuracies(self._client, running)
        return {key: max(history) for key, history in histories.items()}

    def _search(self, condition: str) -> dict[str, RunRecord]:
        runs = [r for r in search_runs(self._client, f"{self._runs} and {condition}") if is_ours(r)]
        ends = (run.info.end_time or 0 for run in runs)
        self._newest_end = max(self._newest_end, *ends, 0)
        found = {run.info.run_id: record_of(run) for run in runs}
        starts = (record.start_time for record in found.values())
        metrics = (metric.timestamp for run in runs for metric in run.data._metric_objs)
        self._newest = max(self._newest, self._newest_end, *starts, *metrics)
        return found
