"""The results of a sweep, read from an MLflow store: the ranking and the data of its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime

import numpy as np

from cifar_exp import tracking
from cifar_exp.comparison import (
    Curve,
    Method,
    Ranking,
    confirmed_curves,
    counted_trainings,
    rank,
)
from cifar_exp.comparison.statistics.paired import ImageDifference, image_difference
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.records import RunRecord
from cifar_exp.report import Evidence
from cifar_exp.tracking import Client, StoreError


class Results:
    """The results of one sweep in a store.

    Args:
        client: The MLflow store.
        records: The runs of an experiment.
        sweep_run_id: The run of the sweep; default: the latest sweep.

    Raises:
        ValueError: The records have no such sweep.
        StoreError: The store cannot be read.
    """

    def __init__(
        self, client: Client, records: Sequence[RunRecord], sweep_run_id: str | None = None
    ) -> None:
        self.client = client
        self.records = records
        self.sweep_run_id = sweep_run_id
        self.trainings = counted_trainings(records, sweep_run_id)
        self.confirmed = {
            name: [r for r in runs if r.kind == "confirmation"]
            for name, runs in self.trainings.items()
        }
        self.curves: Mapping[str, Curve] = tracking.read_curves(
            client, [r.run_id for runs in self.confirmed.values() for r in runs]
        )

    def ranking(self, method: Method | None = None) -> Ranking:
        """Rank the combinations."""
        return rank(self.records, self.sweep_run_id, method, self.curves)

    def evidence(self) -> Evidence:
        """Return the additional data of a report; reads every stored prediction."""
        return Evidence(
            curves=confirmed_curves(self.confirmed, self.curves),
            predictions={
                name: tuple(self._predictions(runs)) for name, runs in self.confirmed.items()
            },
            trained=self._days(),
        )

    def _days(self) -> tuple[date, date] | None:
        starts = [r.start_time for runs in self.trainings.values() for r in runs]
        if not starts:
            return None
        first, last = (datetime.fromtimestamp(t / 1000, UTC) for t in (min(starts), max(starts)))
        return first.date(), last.date()

    def on_images(self, first: str, second: str) -> ImageDifference | None:
        """Compare two combinations on the test images; None without predictions of both."""
        correct = [
            np.stack([predictions.correct for predictions in found])
            for name in (first, second)
            if (found := list(self._predictions(self.confirmed.get(name, ()))))
        ]
        if len(correct) < 2 or correct[0].shape[1] != correct[1].shape[1]:
            return None
        return image_difference(*correct)

    def _predictions(self, runs: Sequence[RunRecord]) -> Iterator[Predictions]:
        """Yield the predictions of runs; older versions stored none."""
        for run in runs:
            with suppress(StoreError):
                yield tracking.read_predictions(self.client, run.run_id)
