from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.records import RunRecord
from cifar_exp.tracking import Run, Tracker, connect, mlflow_experiment
from cifar_exp.training.checkpoint import CheckpointFile
from cifar_exp.training.death import Death
from cifar_exp.training.retries import settle, settle_own

CRASH = Death("signal 9")


@pytest.fixture
def tracker(tracking_uri: str) -> Tracker:
    return Tracker(tracking_uri, "tiny", mlflow_experiment(connect(tracking_uri), "tiny"))


def begin(tracker: Tracker, kind: str = "trial", number: int = 0) -> Run:
    """Begin a training and let it have two epochs, of 3 and 4 seconds."""
    run = tracker.new_run(kind, f"it #{number}", tags={"number": str(number)}, params={})  # type: ignore[arg-type]
    for epoch, seconds in ((1, 3.0), (2, 4.0)):
        run.log_epoch(epoch, {"epoch_seconds": seconds, "val/accuracy": 0.5})
    return run


def only(tracker: Tracker) -> RunRecord:
    [record] = tracker.records()
    return record


def test_three_crashes_end_a_training_with_what_it_has_cost(tracker: Tracker) -> None:
    run = begin(tracker)
    for attempts in ("2", "3"):
        hit = settle(tracker, tracker.records(), CRASH)
        assert [record.run_id for record in hit] == [run.run_id]
        record = only(tracker)
        assert (record.tags["attempts"], record.status, record.finished) == (
            attempts,
            "RUNNING",
            False,
        )
    settle(tracker, tracker.records(), Death("exit code 1"))
    record = only(tracker)
    assert (record.state, record.status) == ("FAIL", "FAILED")
    assert record.tags["reason"] == "crashed 3 times (last: exit code 1)"
    assert (record.metrics["epochs_trained"], record.metrics["seconds"]) == (2, 7)


def test_what_would_end_alike_is_not_tried_again(tracker: Tracker) -> None:
    begin(tracker)
    settle(tracker, tracker.records(), Death("took longer than the limit of 60 s", final=True))
    record = only(tracker)
    assert (record.state, record.tags["reason"]) == ("FAIL", "took longer than the limit of 60 s")
    assert "attempts" not in record.tags


def test_a_training_that_is_given_up_leaves_no_checkpoint(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path))
    path = CheckpointFile(begin(tracker).run_id, "any").path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"anything")
    settle(tracker, tracker.records(), Death("too long", final=True))
    assert list(path.parent.iterdir()) == []


def test_only_trainings_that_are_under_way_are_hit(tracker: Tracker) -> None:
    begin(tracker, "combination")
    begin(tracker, number=1).end("KILLED")
    ended = begin(tracker, number=2)
    ended.set_tags({"trial_state": "COMPLETE"})  # it died before it could close the run
    assert settle(tracker, tracker.records(), CRASH) == []
    assert not [record for record in tracker.records() if "attempts" in record.tags]


def test_the_death_of_a_sweep_is_that_of_its_own_training_alone(tracker: Tracker) -> None:
    begin(tracker, number=1)
    begin(tracker, number=2).set_tags({"process": "worker"})
    settle_own(tracker, tracker.close_running())
    attempts = {record.number: record.tags.get("attempts") for record in tracker.records()}
    assert attempts == {1: "2", 2: None}
    assert {record.status for record in tracker.records()} == {"KILLED"}


def test_a_sweep_that_ends_in_good_order_counts_nothing(tracker: Tracker) -> None:
    begin(tracker)
    tracker.close_running()
    settle_own(tracker, tracker.close_running())  # what the next sweep does
    assert "attempts" not in only(tracker).tags
