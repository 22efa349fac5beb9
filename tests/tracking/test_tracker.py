from __future__ import annotations

import itertools
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, Metric, Param

from benchmarks.server import tracking_server
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.errors import BadInput
from cifar_exp.tracking import (
    Point,
    Run,
    StoreError,
    Tracker,
    connect,
    inherited_run,
    mlflow_experiment,
    provenance,
    read_curves,
    read_predictions,
    read_records,
    resolve_uri,
)
from cifar_exp.tracking.store.connect import configure
from tests.waiting import wait_until

Open = Callable[..., Run]


@pytest.fixture
def open_trial(tracker: Tracker) -> Open:
    def open_(number: int = 0, parent: str | None = None, **params: object) -> Run:
        tags = {"combination": "a+b", "combination_id": "x", "number": str(number)}
        return tracker.open_run("trial", f"a+b #{number}", parent=parent, tags=tags, params=params)

    return open_


def test_a_record_has_what_was_written(tracker: Tracker, open_trial: Open) -> None:
    run = open_trial(3, parent="p", lr=0.1)
    run.log_epochs([Point(1, 0, {"val/accuracy": 0.5})])
    run.end_training("FAIL", {"val_accuracy": 0.5}, {"diverged": "true"})
    [record] = tracker.records(kind="trial")
    assert (record.name, record.number, record.parent) == ("a+b #3", 3, "p")
    assert (record.state, record.status, record.diverged) == ("FAIL", "FAILED", True)
    assert record.params == {"lr": "0.1"}
    assert record.metrics == {"val/accuracy": 0.5, "val_accuracy": 0.5}
    assert record.finished


def test_a_record_has_the_data_set_of_its_run(
    tracker: Tracker, open_trial: Open, data: Dataset
) -> None:
    profiles = [
        '{"train": 54, "test": 30, "classes": 3}',
        '{"rows": 30}',
        "[30]",
        '{"test": null}',
        "no JSON",
        None,
    ]
    for number, profile in enumerate(profiles):
        run_id = open_trial(number).run_id
        dataset = MlflowDataset(f"d{number}", str(number), "local", "{}", profile=profile)
        tracker.client.log_inputs(run_id, [DatasetInput(dataset)])
    open_trial(len(profiles))
    found = {record.number: record for record in tracker.records()}
    assert [found[n].data_digest for n in range(7)] == ["0", "1", "2", "3", "4", "5", None]
    assert [found[n].test_images for n in range(7)] == [30, *[None] * 6]
    assert [found[n].num_classes for n in range(7)] == [3, *[None] * 6]
    open_trial(7).log_dataset(data)
    [written] = tracker.records(number="7")
    assert (written.test_images, written.num_classes) == (len(data.test), data.num_classes)


def test_records_are_found_by_their_tags_and_in_order(tracker: Tracker, open_trial: Open) -> None:
    for number in range(3):
        open_trial(number)
    tracker.new_run("confirmation", "a+b seed 1", tags={"combination_id": "x"}, params={})
    other = Tracker(tracker.client, "other", tracker.mlflow_experiment_id)
    other.new_run("trial", "c+d #0", tags={"combination_id": "x"}, params={})
    assert [r.number for r in tracker.records(kind="trial", combination_id="x")] == [0, 1, 2]
    assert tracker.records(combination_id="y") == []
    assert [r.name for r in read_records(tracker.client, "other")] == ["c+d #0"]


def test_records_of_the_same_time_are_in_the_order_of_their_numbers(
    tracker: Tracker, open_trial: Open
) -> None:
    for number in range(4):  # a search returns the latest first
        open_trial(number).set_tags({"resumed": "5"})
    assert [(r.start_time, r.number) for r in tracker.records()] == [(5, n) for n in range(4)]


def test_records_of_several_pages_are_all_read(
    tracker: Tracker, open_trial: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_exp.tracking.store.records.RUNS_PER_PAGE", 2)
    for number in range(5):
        open_trial(number)
    assert [record.number for record in tracker.records()] == list(range(5))


def test_runs_in_other_mlflow_experiments_are_also_found(tracker: Tracker) -> None:
    elsewhere = mlflow_experiment(tracker.client, "elsewhere")
    Tracker(tracker.client, "tiny", elsewhere).new_run("trial", "it", tags={}, params={})
    assert [record.name for record in tracker.records()] == ["it"]


def test_invalid_tags_of_other_programs_cause_no_error(tracker: Tracker, open_trial: Open) -> None:
    run = open_trial(1)
    started = run.info.start_time
    foreign = {"number": "the second", "confirms": "-", "resumed": "yesterday"}
    tracker.new_run("trial", "by hand", tags=foreign, params={})
    ours, theirs = tracker.records()
    assert (ours.number, ours.start_time) == (1, started)
    assert (theirs.number, theirs.confirms) == (None, None)
    assert theirs.start_time >= started


def test_a_name_that_no_filter_can_contain_is_refused(tracker: Tracker) -> None:
    assert read_records(tracker.client, "it's") == []
    assert read_records(tracker.client, 'the "best"') == []
    with pytest.raises(BadInput, match="both kinds of quotes"):
        read_records(tracker.client, """it's the "best\"""")


def test_an_interrupted_run_is_resumed_and_repeats_no_epoch(
    tracker: Tracker, open_trial: Open
) -> None:
    first = open_trial(lr=0.1)
    for epoch in (1, 2):
        metrics = {"val/accuracy": 0.1 * epoch, "epoch_seconds": 1.0}
        first.log_epochs([Point(epoch, 0, metrics)])
    tracker.close_running()
    before = int(time.time() * 1000)
    second = open_trial(parent="new", lr=0.1)
    for epoch in (1, 2, 3):
        second.log_epochs([Point(epoch, 0, {"val/accuracy": 0.1 * epoch})])
    assert second.run_id == first.run_id
    history = tracker.client.get_metric_history(first.run_id, "val/accuracy")
    assert [(p.step, p.value) for p in history] == [(1, 0.1), (2, 0.2), (3, pytest.approx(0.3))]
    [record] = tracker.records()
    assert (record.status, record.parent) == ("RUNNING", "new")
    assert before <= record.start_time <= time.time() * 1000  # the time of the resumption


def test_an_interrupted_run_with_other_parameters_is_replaced(
    tracker: Tracker, open_trial: Open
) -> None:
    first = open_trial(threads=2)
    second = open_trial(threads=1)
    assert [record.run_id for record in tracker.records()] == [second.run_id]
    assert first.run_id != second.run_id
    assert state_of(tracker, first) == ("deleted", "KILLED")


@pytest.mark.parametrize(
    ("state", "status"), [(None, "KILLED"), ("COMPLETE", "FINISHED"), ("FAIL", "FAILED")]
)
def test_a_run_is_closed_before_it_is_deleted(
    tracker: Tracker, open_trial: Open, state: str | None, status: str
) -> None:
    run = open_trial()
    if state is not None:
        run.set_tags({"trial_state": state})
    [record] = tracker.records()
    tracker.delete(record)
    assert state_of(tracker, run) == ("deleted", status)


def test_a_closed_run_keeps_its_status_and_end_when_it_is_deleted(
    tracker: Tracker, open_trial: Open
) -> None:
    run = open_trial()
    tracker.client.set_terminated(run.run_id, "FAILED", end_time=7)
    [record] = tracker.records()
    tracker.delete(record)
    tracker.delete(record)  # like two processes
    assert state_of(tracker, run) == ("deleted", "FAILED")
    assert tracker.client.get_run(run.run_id).info.end_time == 7


def state_of(tracker: Tracker, run: Run) -> tuple[str, str]:
    info = tracker.client.get_run(run.run_id).info
    return info.lifecycle_stage, info.status


def test_a_run_killed_before_its_parameters_were_written_is_resumed(
    tracker: Tracker, open_trial: Open
) -> None:
    first = open_trial()
    second = open_trial(lr=0.1)
    assert first.run_id == second.run_id
    [record] = tracker.records()
    assert record.params == {"lr": "0.1"}


def test_predictions_are_read_back_unchanged(
    tracker: Tracker, open_trial: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    run = open_trial()
    written = Predictions(
        label=np.array([0, 255], dtype=np.uint8),
        predicted=np.array([255, 255], dtype=np.uint8),
        confidence=np.array([1 / 3, 1], dtype=np.float32),
    )
    run.log_predictions(written)
    assert read_predictions(tracker.client, run.run_id).confidence_scaled is None
    written = replace(written, confidence_scaled=np.array([0.5, 1], dtype=np.float32))
    run.log_predictions(written)
    read = read_predictions(tracker.client, run.run_id)
    for name in ("label", "predicted", "confidence", "confidence_scaled"):
        one, other = getattr(written, name), getattr(read, name)
        assert other.dtype == one.dtype
        assert np.array_equal(one, other)
    assert capfd.readouterr().err == ""  # MLflow shows a progress bar by default


@pytest.mark.parametrize("missing", ["file", "run"])
def test_missing_predictions_give_one_sentence(
    tracker: Tracker, open_trial: Open, missing: str
) -> None:
    run_id = open_trial().run_id if missing == "file" else "0" * 32
    with pytest.raises(StoreError, match=f"run {run_id} holds no predictions.npz"):
        read_predictions(tracker.client, run_id)


def test_closing_gives_each_run_the_status_of_its_state(tracker: Tracker, open_trial: Open) -> None:
    open_trial(0)
    open_trial(1).set_tags({"trial_state": "COMPLETE"})  # killed before its status was written
    open_trial(2).set_tags({"trial_state": "FAIL"})
    open_trial(3).end_training("PRUNED", {}, {})
    tracker.close_running()
    assert [r.status for r in tracker.records()] == ["KILLED", "FINISHED", "FAILED", "KILLED"]


def test_a_combination_whose_best_setting_changes_gets_a_new_run(
    tracker: Tracker, open_trial: Open
) -> None:
    tags = {"combination": "a+b", "combination_id": "x"}
    params = {"loss": "a", "optimizer": "b"}
    old = tracker.open_run("combination", "a+b", parent="s", tags=tags, params=params)
    child = open_trial(parent=old.run_id)
    tracker.close_combination(old.run_id, {"lr": 0.1}, {"rank": 1})
    tracker.close_combination(
        old.run_id, {"lr": 0.1}, {"rank": 2}
    )  # the same setting: the same run
    assert [r.run_id for r in tracker.records(kind="combination")] == [old.run_id]
    tracker.client.update_run(old.run_id, status="RUNNING")  # like in a sweep
    tracker.close_combination(old.run_id, {"lr": 0.2}, {"rank": 3})
    assert state_of(tracker, old) == ("deleted", "KILLED")
    [new] = tracker.records(kind="combination")
    assert new.run_id != old.run_id
    assert (new.params["lr"], new.metrics["rank"], new.parent) == ("0.2", 3, "s")
    assert (new.params["loss"], new.status, new.combination) == ("a", "FINISHED", "a+b")
    [moved] = tracker.records(kind="trial")
    assert (moved.run_id, moved.parent) == (child.run_id, new.run_id)


def test_trainings_with_another_parent_are_moved_to_the_run_of_their_combination(
    tracker: Tracker, open_trial: Open
) -> None:
    """For example after an interruption between two moves, or a combination deleted by hand."""
    params = {"loss": "a", "optimizer": "b"}
    tags = {"combination": "a+b", "combination_id": "x"}
    twins = [
        tracker.new_run("combination", "a+b", parent="s", tags=tags, params=params)
        for _ in range(2)
    ]
    open_trial(0, parent="gone").end_training("COMPLETE", {}, {})
    run = tracker.open_combination("a+b", parent="t", combination_id="x", params=params)
    [other] = [twin for twin in twins if twin.run_id != run.run_id]
    assert state_of(tracker, other) == ("deleted", "KILLED")
    [combination] = tracker.records(kind="combination")
    [child] = tracker.records(kind="trial")
    assert (combination.run_id, combination.parent) == (run.run_id, "t")
    assert child.parent == run.run_id


def test_runs_of_other_programs_are_not_changed(tracker: Tracker) -> None:
    tags = {"experiment": "tiny"}
    foreign = tracker.client.create_run(tracker.mlflow_experiment_id, tags=tags)
    assert tracker.records() == []
    tracker.close_running()
    assert tracker.client.get_run(foreign.info.run_id).info.status == "RUNNING"


def test_runs_record_the_version_of_their_code(tracker: Tracker, open_trial: Open) -> None:
    import torch

    open_trial()
    tags = tracker.records()[0].tags
    assert tags["version.torch"] == torch.__version__.partition("+")[0]
    assert tags.items() >= provenance.tags().items()
    assert tags["mlflow.source.name"] == "cifar-exp"


class RecordingClient:
    """A client that records the parameters and points of each request."""

    def __init__(self) -> None:
        self.params: list[list[Param]] = []
        self.metrics: list[list[Metric]] = []

    def log_batch(
        self, run_id: str, metrics: Sequence[Metric] = (), params: Sequence[Param] = ()
    ) -> None:
        del run_id
        self.params += [list(params)] if params else []
        self.metrics += [list(metrics)] if metrics else []


def test_no_request_is_larger_than_mlflow_accepts() -> None:
    client: Any = RecordingClient()
    info: Any = SimpleNamespace(run_id="it")
    run = Run(client, info)
    run.log_params({f"p{number}": number for number in range(230)})
    run.log_epochs([Point(epoch, 7, {"a": 1.0, "b": epoch / 2}) for epoch in range(1, 702)])
    assert [len(batch) for batch in client.params] == [100, 100, 30]
    assert [len(batch) for batch in client.metrics] == [1000, 402]
    params = [(p.key, p.value) for batch in client.params for p in batch]
    assert params == [(f"p{number}", str(number)) for number in range(230)]
    points = [(m.key, m.value, m.timestamp, m.step) for batch in client.metrics for m in batch]
    both = ([("a", 1.0, 7, epoch), ("b", epoch / 2, 7, epoch)] for epoch in range(1, 702))
    assert points == list(itertools.chain.from_iterable(both))


def test_the_run_of_mlflow_run_is_used_and_hidden_from_children(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    made = tracker.client.create_run(tracker.mlflow_experiment_id)
    tracker.client.log_param(made.info.run_id, "epochs", "7")
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    inherited = inherited_run(tracker.client)
    assert inherited is not None
    assert "MLFLOW_RUN_ID" not in os.environ
    tracker.adopt(inherited.info.run_id, "tiny", {"kind": "sweep"}, {"epochs": 2, "model": "m"})
    [record] = tracker.records(kind="sweep")
    assert record.run_id == made.info.run_id
    assert record.params == {"epochs": "7", "model": "m"}  # MLflow cannot change a parameter
    assert record.name == "tiny"
    again = tracker.open_run("sweep", "tiny", tags={}, params={"model": "m"})
    assert again.run_id == record.run_id  # additional parameters do not make it another run


def test_without_mlflow_run_there_is_no_run_to_use(tracker: Tracker) -> None:
    assert inherited_run(tracker.client) is None


def test_a_foreign_run_id_is_named(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef")
    with pytest.raises(StoreError, match="0123456789abcdef"):
        inherited_run(tracker.client)


@pytest.mark.parametrize("state", ["ended", "deleted", "a trial"])
def test_an_old_run_is_not_used(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    run_id = tracker.client.create_run(tracker.mlflow_experiment_id, run_name="old").info.run_id
    age: dict[str, Callable[[], object]] = {
        "ended": lambda: tracker.client.set_terminated(run_id),
        "deleted": lambda: tracker.client.delete_run(run_id),
        "a trial": lambda: tracker.client.set_tag(run_id, "kind", "trial"),
    }
    age[state]()
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with pytest.raises(StoreError, match="not a new one, 'old'"):
        inherited_run(tracker.client)


def test_a_deleted_mlflow_experiment_is_named(tracker: Tracker) -> None:
    tracker.client.delete_experiment(tracker.mlflow_experiment_id)
    with pytest.raises(StoreError, match="'tiny' is deleted"):
        mlflow_experiment(tracker.client, "tiny")


def test_the_default_store_is_a_local_file_unless_the_variable_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert resolve_uri(None) == f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert resolve_uri(None) == "http://127.0.0.1:1"
    assert resolve_uri("postgresql://u:pw@host/db") == "postgresql://u:pw@host/db"


def test_credentials_move_from_the_address_to_mlflows_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "before")
    assert resolve_uri("https://me:p%40ss@host:5000/path/") == "https://host:5000/path"
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@ss"
    assert resolve_uri("http://host") == "http://host"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@ss"


def test_an_unavailable_server_gives_one_sentence_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(StoreError) as caught:
        connect(f"http://127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port} does not answer" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "nonsense://here"])
def test_a_store_that_cannot_be_opened_gives_one_sentence(uri: str) -> None:
    with pytest.raises(StoreError, match="cannot be used") as caught:
        connect(uri)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_a_database_gives_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database, and long enough to be none" * 9)
    with pytest.raises(StoreError, match="cannot be used"):
        connect(f"sqlite:///{tmp_path / 'mlflow.db'}")


def _touch(uri: str) -> int:
    return len(connect(uri).search_experiments())


def test_processes_that_create_the_same_store_at_once_all_succeed(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_touch, [uri] * 2, chunksize=1) == [1, 1]


def test_runs_that_log_a_new_data_set_at_once_all_succeed(
    tracker: Tracker, open_trial: Open, data: Dataset
) -> None:
    runs = [open_trial(number) for number in range(3)]
    together = threading.Barrier(len(runs))

    def name_it(run: Run, fingerprint: str) -> None:
        together.wait()
        run.log_dataset(replace(data, fingerprint=fingerprint))

    fingerprints = [f"{number:08}" for number in range(20)]  # some of them conflict
    with ThreadPoolExecutor(len(runs)) as pool:
        for fingerprint in fingerprints:
            list(pool.map(name_it, runs, [fingerprint] * len(runs)))
    for run in runs:
        inputs = tracker.client.get_run(run.run_id).inputs
        assert inputs is not None
        assert sorted(each.dataset.digest for each in inputs.dataset_inputs) == fingerprints


def test_threads_that_create_the_same_experiment_get_one_id(tracking_uri: str) -> None:
    client = connect(tracking_uri)
    together = threading.Barrier(3)

    def make(name: str) -> str:
        together.wait()
        return mlflow_experiment(client, name)

    with ThreadPoolExecutor(3) as pool:
        for number in range(20):
            assert len(set(pool.map(make, [f"new {number}"] * 3))) == 1


def test_a_server_prints_no_addresses_between_the_lines_of_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT

    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", raising=False)
    configure.__wrapped__()  # it is active once per process
    assert MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get()


def test_curves_are_read_for_more_runs_than_one_request_allows(
    tracker: Tracker, open_trial: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifar_exp.tracking.store.history.RUNS_PER_REQUEST", 2)
    runs = [open_trial(number) for number in range(3)]
    for number, run in enumerate(runs):
        for epoch in (1, 2):
            run.log_epochs(
                [Point(epoch, 0, {"val/accuracy": 0.1 * number + epoch, "epoch_seconds": 1.5})]
            )
    without = open_trial(9).run_id
    curves = read_curves(tracker.client, [*(run.run_id for run in runs), without])
    assert list(curves) == [run.run_id for run in runs]
    for number, curve in enumerate(curves.values()):
        assert [(p.epoch, p.seconds) for p in curve] == [(1, 1.5), (2, 3.0)]
        assert [p.accuracy for p in curve] == pytest.approx([0.1 * number + 1, 0.1 * number + 2])


@pytest.mark.chaos
def test_a_server_returns_the_curves_that_were_written(tmp_path: Path) -> None:
    with tracking_server(tmp_path) as uri:
        client = connect(uri)
        remote = Tracker(client, "tiny", mlflow_experiment(client, "tiny"))
        run = remote.open_run("trial", "a+b #0", tags={"number": "0"}, params={})
        for epoch in (1, 2, 3):
            run.log_epochs([Point(epoch, 0, {"val/accuracy": 0.1 * epoch, "epoch_seconds": 0.5})])
        [curve] = read_curves(client, [run.run_id]).values()
    assert [(p.epoch, p.seconds) for p in curve] == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert [p.accuracy for p in curve] == pytest.approx([0.1, 0.2, 0.3])


def test_system_metrics_are_recorded_until_a_run_is_closed(
    open_trial: Open, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.01")
    threads = set(threading.enumerate())
    run = open_trial(0)
    run.monitor_system()
    name = "system/cpu_utilization_percentage"
    wait_until(lambda: len(tracker.client.get_metric_history(run.run_id, name)) > 1, 60)
    run.end()
    assert set(threading.enumerate()) <= threads
    steps = [point.step for point in tracker.client.get_metric_history(run.run_id, name)]
    assert steps == list(range(len(steps)))
    [record] = tracker.records()
    assert record.metrics == {}  # their steps are not epochs


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("busy_timeout", 60_000),  # in milliseconds: another process may lock it for a minute
        ("journal_mode", "wal"),
        ("synchronous", 1),  # NORMAL: a power failure may lose the last commits but not the file
    ],
)
def test_a_database_is_opened_so_that_processes_can_share_it(
    tracking_uri: str, setting: str, value: object
) -> None:
    store = connect(tracking_uri)._tracking_client.store
    with store.ManagedSessionMaker() as session:  # which sets MLflow's own 20 s
        assert session.execute(sqlalchemy.text(f"PRAGMA {setting}")).scalar() == value
