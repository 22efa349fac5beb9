"""The runs of an experiment, read while they change."""

from __future__ import annotations

import pytest
from mlflow.entities import Run as MlflowRun

from cifar_exp.records import RunRecord
from cifar_exp.tracking import Point, RepeatedReading, Run, Tracker, read_records
from cifar_exp.tracking.store import repeated_reading
from cifar_exp.tracking.store.records import record_of


def begin(tracker: Tracker, number: int) -> Run:
    tags = {"combination": "mse+sgd", "number": str(number)}
    return tracker.new_run("trial", f"mse+sgd #{number}", tags=tags, params={"epochs": 4})


def test_every_read_returns_the_runs_as_they_are(tracker: Tracker) -> None:
    reading = RepeatedReading(tracker.client, "tiny")

    def same() -> bool:
        found = reading.records()
        return found == read_records(tracker.client, "tiny")

    assert reading.records() == []
    runs = [begin(tracker, number) for number in range(3)]
    assert same()
    runs[0].end_training("COMPLETE", {"val_accuracy": 0.5}, {})
    begin(tracker, 3)
    assert same()
    tracker.delete(next(r for r in tracker.records() if r.number == 1))
    runs[2].end_training("FAIL", {}, {"diverged": "true"})
    assert same()
    tracker.client.update_run(runs[2].run_id, status="RUNNING")
    assert same()
    assert [r.number for r in reading.records() if r.status == "RUNNING"] == [2, 3]


def test_runs_that_have_ended_are_not_read_again(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int | None] = []

    def counting(run: MlflowRun) -> RunRecord:
        record = record_of(run)
        read.append(record.number)
        return record

    monkeypatch.setattr(repeated_reading, "record_of", counting)
    monkeypatch.setattr(repeated_reading, "MARGIN", 0)
    reading = RepeatedReading(tracker.client, "tiny")
    for number in range(3):
        begin(tracker, number).end_training("COMPLETE", {}, {})
    running = begin(tracker, 3)
    assert len(reading.records()) == 4
    read.clear()
    assert len(reading.records()) == 4
    assert sorted(number or 0 for number in read) in ([2, 3], [1, 2, 3], [0, 1, 2, 3])  # same ms
    assert 3 in read
    running.end_training("COMPLETE", {}, {})
    assert all(record.finished for record in reading.records())


def test_the_finished_epochs_of_runs(tracker: Tracker) -> None:
    reading = RepeatedReading(tracker.client, "tiny")
    first, second = begin(tracker, 0), begin(tracker, 1)
    first.log_epochs([Point(epoch, 0, {"val/accuracy": 0.1 * epoch}) for epoch in (1, 2, 3)])
    reading.records()
    assert reading.epochs() == {first.run_id: 3}
    second.log_epochs([Point(1, 0, {"val/accuracy": 0.1})])
    first.end_training("COMPLETE", {}, {})
    reading.records()
    assert reading.epochs() == {second.run_id: 1}


def test_the_newest_thing_is_a_start_a_metric_or_an_end(tracker: Tracker) -> None:
    reading = RepeatedReading(tracker.client, "tiny")
    assert (reading.records(), reading.newest) == ([], 0)
    run = begin(tracker, 0)
    [record] = reading.records()
    assert reading.newest == record.start_time
    later = record.start_time + 3_600_000
    run.log_epochs([Point(1, later, {"val/accuracy": 0.1})])
    reading.records()
    assert reading.newest == later
    tracker.client.set_terminated(run.run_id, end_time=later + 5)
    reading.records()
    assert reading.newest == later + 5
