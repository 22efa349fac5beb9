from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mlflow.entities import (
    Dataset,
    DatasetInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from cifar_exp.tracking import StoreError, Tracker, connect, mlflow_experiment, outbox_of
from cifar_exp.tracking.outbox import relay
from cifar_exp.tracking.outbox.changes import changes
from cifar_exp.tracking.outbox.outbox import Outbox
from cifar_exp.tracking.outbox.pull import Pull
from cifar_exp.tracking.outbox.push import Push, Sent
from cifar_exp.tracking.outbox.relay import Round
from cifar_exp.tracking.outbox.sync_state import SyncState
from tests.content import content

PARENT = "mlflow.parentRunId"
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # each example opens two stores


class Bench:
    """An outbox, and a second store that stands for the server: the copying is the same."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.place = Outbox("http://server", folder / "outbox")
        self.server_uri = f"sqlite:///{folder / 'server.db'}"
        self.place.open()
        shutil.copy(template, folder / "server.db")
        shutil.copy(template, self.place.folder / "mlflow.db")
        self.outbox = connect(self.place.uri)
        self.server = connect(self.server_uri)
        self.server.create_experiment("tiny", str(folder / "server"))
        self.experiment = self.place.experiment(self.outbox, "tiny")

    def deliver(self, server: Any = None) -> Sent:
        with closing(SyncState(self.place.sync_state_file)) as sync_state:
            return Push(self.outbox, server or self.server, sync_state).round()

    def take_in(self) -> None:
        with closing(SyncState(self.place.sync_state_file)) as sync_state:
            Pull(self.place, self.outbox, self.server, sync_state).take_experiment("tiny")

    def left(self) -> int:
        with closing(SyncState(self.place.sync_state_file)) as sync_state:
            return len(changes(self.outbox, sync_state))

    def run(self, name: str, **tags: str) -> str:
        """Make a run as the tracker does, by the client alone."""
        given = {"experiment": "tiny", "kind": "trial", **tags}
        return str(self.outbox.create_run(self.experiment, tags=given, run_name=name).info.run_id)

    def add_model(self, run_id: str) -> Path:
        """Store a model of one file; return where that is."""
        model = self.outbox.create_logged_model(self.experiment, "model", run_id)
        self.outbox.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        folder = Path(model.artifact_location)
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "weights").write_bytes(b"0123")
        Model(run_id=run_id, model_id=model.model_id).save(str(folder / "MLmodel"))
        self.outbox.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        return folder

    def fill(self) -> None:
        """Write a sweep with a finished trial, one under way, and one that was deleted."""
        sweep = self.run("sweep", kind="sweep")
        self.outbox.log_text(sweep, "name = 'tiny'", "experiment.toml")
        for number in range(3):
            run = self.run(f"#{number}", number=str(number), **{PARENT: sweep})
            points = [Metric("val/accuracy", 0.1 * step, 1000 + step, step) for step in range(3)]
            self.outbox.log_batch(run, points, [Param("lr", "0.1")])
            images = Dataset("images", "12345678", "local", "{}")
            self.outbox.log_inputs(run, [DatasetInput(images)])
            if number == 0:
                self.add_model(run)
                self.outbox.log_text(run, "text", "folder/file.txt")
                self.outbox.set_tag(run, "trial_state", "COMPLETE")
                self.outbox.set_terminated(run)
            if number == 2:
                self.outbox.delete_run(run)
        self.outbox.set_terminated(sweep)


@pytest.fixture
def bench(tmp_path: Path, tracking_uri: str, store_template: Path) -> Bench:
    del tracking_uri  # its folder and its variable are restored afterwards
    return Bench(tmp_path, store_template)


class Failing:
    """A client of which some calls fail: the request was lost, or its answer was."""

    def __init__(self, client: mlflow.MlflowClient, failures: dict[int, bool]) -> None:
        self.client = client
        self.failures = failures
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        return self._count(found) if callable(found) else found

    def _count(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            taken = self.failures.get(self.calls)
            if taken is None or taken:
                result = function(*arguments, **named)
            if taken is not None:
                raise MlflowException("API request failed with exception")
            return result

        return call


def test_the_server_holds_what_the_outbox_holds(bench: Bench) -> None:
    bench.fill()
    held = content(bench.place.uri, timed=True)
    sent = bench.deliver()
    assert (sent.runs, sent.points, sent.left) == (4, 6, 0)
    assert [run["name"] for run in held] == ["#0", "#1", "sweep"]
    assert content(bench.server_uri, timed=True) == held


def test_what_was_delivered_is_not_looked_at_again(bench: Bench) -> None:
    bench.fill()
    bench.deliver()
    counting = Failing(bench.server, {})
    assert bench.deliver(counting) == Sent(runs=0, points=0, left=0)
    assert counting.calls == 0


@contextmanager
def _fresh(template: Path) -> Iterator[Bench]:
    with TemporaryDirectory() as folder:
        yield Bench(Path(folder), template)


@pytest.mark.usefixtures("one_environment")
@settings(max_examples=5, deadline=None, phases=NO_SHRINKING)
@given(failures=st.dictionaries(st.integers(1, 40), st.booleans(), max_size=5))
def test_any_lost_requests_and_answers_leave_each_thing_once(
    store_template: Path, failures: dict[int, bool]
) -> None:
    with _fresh(store_template) as bench:
        bench.fill()
        held = content(bench.place.uri, timed=True)
        failing = Failing(bench.server, failures)
        for _ in range(len(failures) + 1):
            bench.deliver(failing)  # each with a new process's memory
        assert bench.left() == 0
        assert content(bench.server_uri, timed=True) == held


class Breaking(Failing):
    """A client that writes no more records after so many batches, as where a machine dies."""

    def __init__(self, client: mlflow.MlflowClient, batches: int) -> None:
        super().__init__(client, {})
        self.batches = batches

    def log_batch(self, *arguments: Any) -> None:
        self.batches -= 1
        if self.batches < 0:
            raise MlflowException("API request failed with exception")
        self.client.log_batch(*arguments)


class WithoutFiles(Failing):
    """A client of a server that takes records and refuses files."""

    def log_artifacts(self, *_: Any) -> None:
        raise MlflowException("413: too large")


def test_a_server_that_refuses_files_gets_all_else_but_the_state(bench: Bench) -> None:
    bench.fill()
    bench.deliver(WithoutFiles(bench.server, {}))
    there = {run.info.run_name: run.data for run in bench.server.search_runs(["1"])}
    assert there["#0"].metrics.keys() == {"val/accuracy"}
    assert there["#0"].params.keys() == {"lr"}
    assert "trial_state" not in there["#0"].tags
    bench.deliver()
    assert content(bench.server_uri, timed=True) == content(bench.place.uri, timed=True)


def test_a_state_that_is_written_before_its_run_is_closed_waits_for_that(bench: Bench) -> None:
    run = bench.run("it", number="0")
    bench.outbox.set_tag(run, "trial_state", "COMPLETE")
    bench.deliver()
    assert "trial_state" not in bench.server.search_runs(["1"])[0].data.tags
    bench.outbox.set_terminated(run)
    bench.deliver()
    assert bench.server.search_runs(["1"])[0].data.tags["trial_state"] == "COMPLETE"


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_run_has_its_state_when_it_has_all_else(bench: Bench, batches: int) -> None:
    run = bench.run("it", number="0")
    points = [Metric("val/accuracy", 0.5, 1000 + step, step) for step in range(2000)]
    for start in (0, 1000):
        bench.outbox.log_batch(run, points[start : start + 1000])
    bench.outbox.log_batch(run, params=[Param("lr", "0.1")])
    bench.outbox.set_tag(run, "trial_state", "COMPLETE")
    bench.outbox.set_terminated(run)
    assert bench.deliver(Breaking(bench.server, batches)).left == 1
    [there] = bench.server.search_runs(["1"])
    assert "trial_state" not in there.data.tags
    assert bench.deliver().left == 0
    assert content(bench.server_uri, timed=True) == content(bench.place.uri, timed=True)


def finish(bench: Bench, failures: dict[int, bool]) -> int:
    """Deliver as the end of a sweep does; return how many runs are left."""
    failing: Any = Failing(bench.server, failures)
    with closing(SyncState(bench.place.sync_state_file)) as sync_state:
        Round(bench.place, Push(bench.outbox, failing, sync_state)).finish()
    return bench.left()


def test_the_end_waits_for_a_server_that_takes_only_some_requests(bench: Bench) -> None:
    bench.fill()
    assert finish(bench, dict.fromkeys(range(1, 1000, 10), False)) == 0
    assert content(bench.server_uri, timed=True) == content(bench.place.uri, timed=True)


def test_the_end_does_not_wait_for_ever(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "SECONDS_TO_COME_BACK", 0.2)
    bench.fill()
    assert finish(bench, dict.fromkeys(range(1, 1000), False)) == 4


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
POINTS = st.tuples(
    st.sampled_from(["loss", "val/accuracy"]),
    st.floats(-1e300, 1e300),
    st.integers(0, 2**40),
    st.integers(0, 2**30),
)


@pytest.mark.usefixtures("one_environment")
@settings(max_examples=5, deadline=None, phases=NO_SHRINKING)
@given(
    params=st.dictionaries(st.from_regex(r"\A[a-z][a-z._]{0,9}\Z"), TEXT, max_size=5),
    rounds=st.lists(st.lists(POINTS, max_size=6), min_size=1, max_size=3),
    tag=TEXT,
)
def test_whatever_is_written_between_rounds_arrives(
    store_template: Path,
    params: dict[str, str],
    rounds: list[list[tuple[str, float, int, int]]],
    tag: str,
) -> None:
    with (
        _fresh(store_template) as bench,
        closing(SyncState(bench.place.sync_state_file)) as sync_state,
    ):
        push = Push(bench.outbox, bench.server, sync_state)
        run = bench.run("it", words=tag)
        bench.outbox.log_batch(run, params=[Param(*item) for item in params.items()])
        for points in rounds:
            bench.outbox.log_batch(run, [Metric(*point) for point in dict.fromkeys(points)])
            push.round()
        bench.outbox.set_terminated(run)
        push.round()
        assert content(bench.server_uri, timed=True) == content(bench.place.uri, timed=True)


@pytest.fixture(scope="module")
def one_environment() -> Iterator[None]:
    """For tests that open many stores: MLflow notes the last one in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        yield


def test_a_run_that_changes_after_its_delivery_is_delivered_again(bench: Bench) -> None:
    bench.fill()
    bench.deliver()
    trial = next(r for r in bench.outbox.search_runs([bench.experiment]) if "#0" in str(r.info))
    other = bench.run("other", kind="combination")
    bench.outbox.set_tag(trial.info.run_id, PARENT, other)
    bench.outbox.set_tag(trial.info.run_id, "mlflow.runColor", "#0072b2")
    bench.deliver()
    assert content(bench.server_uri, timed=True) == content(bench.place.uri, timed=True)
    bench.outbox.update_run(trial.info.run_id, status="RUNNING")
    bench.deliver()
    bench.outbox.log_metric(trial.info.run_id, "val/accuracy", 0.9, step=9)
    bench.outbox.set_terminated(trial.info.run_id, "KILLED")
    bench.deliver()
    assert content(bench.server_uri, timed=True) == content(bench.place.uri, timed=True)


def test_a_run_deleted_here_is_deleted_there(bench: Bench) -> None:
    run = bench.run("it")
    bench.deliver()
    bench.outbox.delete_run(run)
    bench.deliver()
    assert content(bench.server_uri) == []
    assert bench.left() == 0


def test_a_run_deleted_there_is_let_be_and_deleted_here_when_a_sweep_starts(bench: Bench) -> None:
    run = bench.run("it")
    bench.deliver()
    [copy] = bench.server.search_runs(["1"])
    bench.server.delete_run(copy.info.run_id)
    bench.outbox.log_metric(run, "loss", 1.0)
    bench.deliver()
    assert bench.left() == 0
    assert content(bench.server_uri) == []
    bench.take_in()
    assert content(bench.place.uri) == []


def test_a_model_names_its_new_run_and_its_files_are_no_longer_kept_here(bench: Bench) -> None:
    run = bench.run("it")
    kept = bench.add_model(run)
    bench.outbox.set_terminated(run)
    bench.deliver()
    [copy] = bench.server.search_logged_models(["1"])
    files = Path(copy.artifact_location)
    assert (files / "data" / "weights").read_bytes() == b"0123"
    about = Model.load(str(files))
    assert (about.model_id, about.run_id) == (copy.model_id, copy.source_run_id)
    [there] = bench.server.search_runs(["1"])
    assert about.run_id == there.info.run_id != run
    assert not kept.exists()


def test_a_model_deleted_here_is_deleted_there_with_its_files(bench: Bench) -> None:
    run = bench.run("it")
    bench.add_model(run)
    bench.outbox.set_terminated(run)
    bench.deliver()
    [copy] = bench.server.search_logged_models(["1"])
    Tracker(bench.outbox, "tiny", bench.experiment).delete_models(run)
    bench.deliver()
    assert list(bench.server.search_logged_models(["1"])) == []
    assert not list(Path(copy.artifact_location).glob("**/weights"))


def test_a_run_made_twice_by_a_request_that_was_taken_late_is_there_once(bench: Bench) -> None:
    run = bench.run("it")
    bench.deliver()
    late = bench.server.create_run("1", tags={"outbox_run_id": run})
    bench.outbox.set_terminated(run)
    bench.deliver()
    [left] = bench.server.search_runs(["1"])
    assert left.info.run_id != late.info.run_id


def test_a_run_that_the_server_refuses_holds_no_other_up(bench: Bench) -> None:
    bench.fill()
    refused = bench.server.create_experiment("refused")
    bench.server.delete_experiment(refused)
    elsewhere = bench.place.experiment(bench.outbox, "refused")
    bench.outbox.create_run(elsewhere, run_name="a")
    sent = bench.deliver()
    assert (sent.runs, sent.left) == (4, 1)
    assert "active" in sent.problem
    bench.server.restore_experiment(refused)
    assert bench.deliver().left == 0
    assert {run["name"] for run in content(bench.server_uri)} == {"a", "#0", "#1", "sweep"}


def test_a_new_outbox_takes_in_what_was_delivered_and_sends_nothing_back(bench: Bench) -> None:
    bench.fill()
    bench.deliver()
    before = content(bench.server_uri, timed=True)
    shutil.move(bench.place.folder, bench.folder / "lost")
    again = Bench.__new__(Bench)
    again.folder, again.server, again.server_uri = bench.folder, bench.server, bench.server_uri
    again.place = Outbox("http://server", bench.folder / "new")
    again.place.open()
    again.outbox = connect(again.place.uri)
    for _ in range(2):
        again.take_in()
        taken = content(again.place.uri, timed=True)
        expected = [run for run in before if run["name"] != "#1"]  # it did not come to an end
        for run in expected:
            run["artifacts"], run["models"] = [], []
        assert taken == expected
        assert again.deliver() == Sent(runs=0, points=0, left=0)


def test_the_run_of_mlflow_run_is_the_same_run_in_the_outbox(bench: Bench) -> None:
    given = bench.server.create_run("1", run_name="given")
    bench.server.log_param(given.info.run_id, "epochs", "7")
    with closing(SyncState(bench.place.sync_state_file)) as sync_state:
        pull = Pull(bench.place, bench.outbox, bench.server, sync_state)
        local = pull.take_run(given.info.run_id)
        assert pull.take_run(given.info.run_id) == local
        bench.server.set_terminated(given.info.run_id)
        with pytest.raises(StoreError, match="not a new one, 'given'"):
            pull.take_run(given.info.run_id)
    bench.server.update_run(given.info.run_id, status="RUNNING")
    tracker = Tracker(bench.outbox, "tiny", bench.experiment)
    run = tracker.adopt(local, "tiny", {"kind": "sweep"}, {"epochs": 2, "model": "m"})
    run.end()
    bench.deliver()
    [there] = bench.server.search_runs(["1"])
    assert there.info.run_id == given.info.run_id
    assert there.data.params == {"epochs": "7", "model": "m"}
    assert (there.info.run_name, there.info.status) == ("tiny", "FINISHED")


def test_a_lost_ledger_makes_no_second_run(bench: Bench) -> None:
    bench.fill()
    bench.deliver()
    before = content(bench.server_uri, timed=True)
    bench.place.sync_state_file.unlink()
    bench.deliver()
    assert content(bench.server_uri, timed=True) == before


def test_a_server_with_a_new_store_gets_everything_again(
    bench: Bench, store_template: Path
) -> None:
    bench.fill()
    bench.deliver()
    shutil.copy(store_template, bench.folder / "second.db")
    bench.server_uri = f"sqlite:///{bench.folder / 'second.db'}"
    bench.server = connect(bench.server_uri)
    bench.take_in()
    bench.deliver()
    assert [run["name"] for run in content(bench.server_uri)] == ["#0", "#1", "sweep"]


def test_a_description_that_a_user_wrote_on_the_server_is_left_alone(bench: Bench) -> None:
    note = "mlflow.note.content"
    bench.run("it")
    for text in ("first", "second"):
        bench.outbox.set_experiment_tag(
            bench.experiment, note, f"**Ranking of the sweep**\n\n{text}"
        )
        bench.deliver()
        assert bench.server.get_experiment("1").tags[note].endswith(text)
    bench.server.set_experiment_tag("1", note, "mine")
    bench.outbox.set_experiment_tag(bench.experiment, note, "**Ranking of the sweep**\n\nthird")
    bench.deliver()
    assert bench.server.get_experiment("1").tags[note] == "mine"


def test_each_server_has_an_outbox_of_its_own() -> None:
    assert outbox_of("http://host") == outbox_of("http://host")
    assert outbox_of("http://host") != outbox_of("http://host:5000")


def test_a_server_that_does_not_answer_ends_the_round(bench: Bench) -> None:
    bench.run("it")
    with closing(SyncState(bench.place.sync_state_file)) as sync_state:
        away = mlflow.MlflowClient("http://127.0.0.1:9")  # the discard port
        with pytest.raises(StoreError, match="does not answer"):
            Push(bench.outbox, away, sync_state).round()
    assert bench.left() == 1


def test_mlflow_experiments_are_still_found_by_name(bench: Bench) -> None:
    assert mlflow_experiment(bench.outbox, "tiny") == bench.experiment
    location = bench.outbox.get_experiment(bench.experiment).artifact_location
    assert location.startswith(str(bench.place.folder))
