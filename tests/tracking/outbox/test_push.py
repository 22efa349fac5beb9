from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
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
    ViewType,
)
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from cifar_exp.tracking import (
    StoreError,
    Tracker,
    connect,
    mlflow_experiment,
    outbox_of,
    save_views,
)
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


class Pair:
    """An outbox, and a second store that replaces the server: the copying is the same."""

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

    def pull(self) -> None:
        with closing(SyncState(self.place.sync_state_file)) as sync_state:
            Pull(self.place, self.outbox, self.server, sync_state).take_experiment("tiny")

    def left(self) -> int:
        with closing(SyncState(self.place.sync_state_file)) as sync_state:
            return len(changes(self.outbox, sync_state))

    def run(self, name: str, **tags: str) -> str:
        """Create a run like the tracker, but with the client only."""
        given = {"experiment": "tiny", "kind": "trial", **tags}
        return str(self.outbox.create_run(self.experiment, tags=given, run_name=name).info.run_id)

    def add_model(self, run_id: str) -> Path:
        """Store a model of one file; return its folder."""
        model = self.outbox.create_logged_model(self.experiment, "model", run_id)
        self.outbox.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
        folder = Path(model.artifact_location)
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "weights").write_bytes(b"0123")
        Model(run_id=run_id, model_id=model.model_id).save(str(folder / "MLmodel"))
        self.outbox.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        return folder

    def fill(self) -> None:
        """Write a sweep with a finished, a running and a deleted trial."""
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
def pair(tmp_path: Path, tracking_uri: str, store_template: Path) -> Pair:
    del tracking_uri  # its folder and its variable are restored afterwards
    return Pair(tmp_path, store_template)


class Failing:
    """A client with failing calls: the request or its response was lost."""

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


def test_the_server_has_the_content_of_the_outbox(pair: Pair) -> None:
    pair.fill()
    stored = content(pair.place.uri, timed=True)
    sent = pair.deliver()
    assert (sent.runs, sent.points, sent.left) == (4, 6, 0)
    assert [run["name"] for run in stored] == ["#0", "#1", "sweep"]
    assert content(pair.server_uri, timed=True) == stored


def test_delivered_runs_are_not_sent_again(pair: Pair) -> None:
    pair.fill()
    pair.deliver()
    counting = Failing(pair.server, {})
    assert pair.deliver(counting) == Sent(runs=0, points=0, left=0)
    assert counting.calls == 0


@contextmanager
def _fresh(template: Path) -> Iterator[Pair]:
    with TemporaryDirectory() as folder:
        yield Pair(Path(folder), template)


@pytest.mark.usefixtures("one_environment")
@settings(max_examples=5, deadline=None, phases=NO_SHRINKING)
@given(failures=st.dictionaries(st.integers(1, 40), st.booleans(), max_size=5))
def test_after_any_lost_requests_and_responses_everything_is_stored_once(
    store_template: Path, failures: dict[int, bool]
) -> None:
    with _fresh(store_template) as pair:
        pair.fill()
        stored = content(pair.place.uri, timed=True)
        failing = Failing(pair.server, failures)
        for _ in range(len(failures) + 1):
            pair.deliver(failing)  # without the memory of earlier rounds, as in a new process
        assert pair.left() == 0
        assert content(pair.server_uri, timed=True) == stored


class Breaking(Failing):
    """A client that writes no records after some batches, as when the machine fails."""

    def __init__(self, client: mlflow.MlflowClient, batches: int) -> None:
        super().__init__(client, {})
        self.batches = batches

    def log_batch(self, *arguments: Any) -> None:
        self.batches -= 1
        if self.batches < 0:
            raise MlflowException("API request failed with exception")
        self.client.log_batch(*arguments)


class WithoutFiles(Failing):
    """A client of a server that accepts records and rejects files."""

    def log_artifacts(self, *_: Any) -> None:
        raise MlflowException("413: too large")


def test_a_server_that_rejects_files_gets_everything_else_except_the_state(pair: Pair) -> None:
    pair.fill()
    pair.deliver(WithoutFiles(pair.server, {}))
    on_server = {run.info.run_name: run.data for run in pair.server.search_runs(["1"])}
    assert on_server["#0"].metrics.keys() == {"val/accuracy"}
    assert on_server["#0"].params.keys() == {"lr"}
    assert "trial_state" not in on_server["#0"].tags
    pair.deliver()
    assert content(pair.server_uri, timed=True) == content(pair.place.uri, timed=True)


def test_a_state_is_sent_after_its_run_is_closed(pair: Pair) -> None:
    run = pair.run("it", number="0")
    pair.outbox.set_tag(run, "trial_state", "COMPLETE")
    pair.deliver()
    assert "trial_state" not in pair.server.search_runs(["1"])[0].data.tags
    pair.outbox.set_terminated(run)
    pair.deliver()
    assert pair.server.search_runs(["1"])[0].data.tags["trial_state"] == "COMPLETE"


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_the_state_of_a_run_is_written_last(pair: Pair, batches: int) -> None:
    run = pair.run("it", number="0")
    points = [Metric("val/accuracy", 0.5, 1000 + step, step) for step in range(2000)]
    for start in (0, 1000):
        pair.outbox.log_batch(run, points[start : start + 1000])
    pair.outbox.log_batch(run, params=[Param("lr", "0.1")])
    pair.outbox.set_tag(run, "trial_state", "COMPLETE")
    pair.outbox.set_terminated(run)
    assert pair.deliver(Breaking(pair.server, batches)).left == 1
    [on_server] = pair.server.search_runs(["1"])
    assert "trial_state" not in on_server.data.tags
    assert pair.deliver().left == 0
    assert content(pair.server_uri, timed=True) == content(pair.place.uri, timed=True)


def finish(pair: Pair, failures: dict[int, bool]) -> int:
    """Deliver as at the end of a sweep; return the number of undelivered runs."""
    failing: Any = Failing(pair.server, failures)
    with closing(SyncState(pair.place.sync_state_file)) as sync_state:
        Round(pair.place, Push(pair.outbox, failing, sync_state)).finish()
    return pair.left()


def test_the_end_waits_for_a_server_that_accepts_only_some_requests(pair: Pair) -> None:
    pair.fill()
    assert finish(pair, dict.fromkeys(range(1, 1000, 10), False)) == 0
    assert content(pair.server_uri, timed=True) == content(pair.place.uri, timed=True)


def test_the_end_has_a_time_limit(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "SECONDS_TO_COME_BACK", 0.2)
    pair.fill()
    assert finish(pair, dict.fromkeys(range(1, 1000), False)) == 4


def test_an_outage_and_its_end_are_each_reported_once(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = iter([StoreError("a"), MlflowException("b\nc"), None, None, StoreError("d"), None])

    def send() -> Sent:
        if error := next(outcomes):
            raise error
        return Sent(runs=0, points=0, left=0)

    push: Any = SimpleNamespace(round=send)
    deliver = Round(pair.place, push)
    assert [deliver() for _ in range(6)] == [False, False, True, True, False, True]
    assert (
        capsys.readouterr().out.splitlines()
        == [
            "http://server does not answer; training continues, runs are kept on this machine",
            "http://server answers again",
        ]
        * 2
    )


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
def test_anything_written_between_rounds_is_delivered(
    store_template: Path,
    params: dict[str, str],
    rounds: list[list[tuple[str, float, int, int]]],
    tag: str,
) -> None:
    with (
        _fresh(store_template) as pair,
        closing(SyncState(pair.place.sync_state_file)) as sync_state,
    ):
        push = Push(pair.outbox, pair.server, sync_state)
        run = pair.run("it", words=tag)
        pair.outbox.log_batch(run, params=[Param(*item) for item in params.items()])
        for points in rounds:
            pair.outbox.log_batch(run, [Metric(*point) for point in dict.fromkeys(points)])
            push.round()
        pair.outbox.set_terminated(run)
        push.round()
        assert content(pair.server_uri, timed=True) == content(pair.place.uri, timed=True)


@pytest.fixture(scope="module")
def one_environment() -> Iterator[None]:
    """For tests that open many stores: MLflow sets an environment variable to the last one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        yield


def test_a_run_that_changes_after_its_delivery_is_delivered_again(pair: Pair) -> None:
    pair.fill()
    pair.deliver()
    trial = next(r for r in pair.outbox.search_runs([pair.experiment]) if "#0" in str(r.info))
    other = pair.run("other", kind="combination")
    pair.outbox.set_tag(trial.info.run_id, PARENT, other)
    pair.outbox.set_tag(trial.info.run_id, "mlflow.runColor", "#0072b2")
    pair.deliver()
    assert content(pair.server_uri, timed=True) == content(pair.place.uri, timed=True)
    pair.outbox.update_run(trial.info.run_id, status="RUNNING")
    pair.deliver()
    pair.outbox.log_metric(trial.info.run_id, "val/accuracy", 0.9, step=9)
    pair.outbox.set_terminated(trial.info.run_id, "KILLED")
    pair.deliver()
    assert content(pair.server_uri, timed=True) == content(pair.place.uri, timed=True)


def test_a_run_deleted_in_the_outbox_is_deleted_on_the_server(pair: Pair) -> None:
    run = pair.run("it")
    pair.deliver()
    pair.outbox.delete_run(run)
    pair.deliver()
    assert content(pair.server_uri) == []
    assert pair.left() == 0
    assert deleted_statuses(pair.server) == ["KILLED"]  # it does not run any more


def deleted_statuses(client: mlflow.MlflowClient) -> list[str]:
    runs = client.search_runs(["1"], run_view_type=ViewType.DELETED_ONLY)
    return [run.info.status for run in runs]


def test_a_run_deleted_on_the_server_is_deleted_in_the_outbox_when_a_sweep_starts(
    pair: Pair,
) -> None:
    run = pair.run("it")
    pair.deliver()
    [copy] = pair.server.search_runs(["1"])
    pair.server.delete_run(copy.info.run_id)
    pair.outbox.log_metric(run, "loss", 1.0)
    pair.deliver()
    assert pair.left() == 0
    assert content(pair.server_uri) == []
    pair.pull()
    assert content(pair.place.uri) == []
    assert pair.outbox.get_run(run).info.status == "KILLED"


def test_a_model_refers_to_its_new_run_and_its_local_files_are_deleted(pair: Pair) -> None:
    run = pair.run("it")
    kept = pair.add_model(run)
    pair.outbox.set_terminated(run)
    pair.deliver()
    [copy] = pair.server.search_logged_models(["1"])
    files = Path(copy.artifact_location)
    assert (files / "data" / "weights").read_bytes() == b"0123"
    about = Model.load(str(files))
    assert (about.model_id, about.run_id) == (copy.model_id, copy.source_run_id)
    [on_server] = pair.server.search_runs(["1"])
    assert about.run_id == on_server.info.run_id != run
    assert not kept.exists()


def test_a_model_deleted_in_the_outbox_is_deleted_on_the_server_with_its_files(pair: Pair) -> None:
    run = pair.run("it")
    pair.add_model(run)
    pair.outbox.set_terminated(run)
    pair.deliver()
    [copy] = pair.server.search_logged_models(["1"])
    Tracker(pair.outbox, "tiny", pair.experiment).delete_models(run)
    pair.deliver()
    assert list(pair.server.search_logged_models(["1"])) == []
    assert not list(Path(copy.artifact_location).glob("**/weights"))


def test_a_duplicate_model_from_a_delayed_request_is_deleted(pair: Pair) -> None:
    run = pair.run("it")
    pair.add_model(run)
    pair.deliver()
    [on_server] = pair.server.search_runs(["1"])
    [model] = pair.outbox.search_logged_models([pair.experiment])
    for _ in range(2):
        late = pair.server.create_logged_model(
            "1", "model", on_server.info.run_id, tags={"outbox_model_id": model.model_id}
        )
        Path(late.artifact_location).mkdir(parents=True)
    pair.outbox.set_terminated(run)
    pair.deliver()
    [left] = pair.server.search_logged_models(["1"])
    assert left.status == LoggedModelStatus.READY


def test_a_changed_artifact_is_sent_again(pair: Pair) -> None:
    """For example the ranking of a resumed sweep, which may have the same length as before."""
    run = pair.run("it")
    for text in ("first", "again", "a third time"):
        pair.outbox.log_text(run, text, "ranking.txt")
        pair.outbox.set_tag(run, "resumed", text)
        pair.outbox.set_terminated(run)
        pair.deliver()
        [on_server] = pair.server.search_runs(["1"])
        path = pair.server.download_artifacts(on_server.info.run_id, "ranking.txt")
        assert Path(path).read_text() == text


def test_a_run_whose_parent_was_deleted_is_delivered(pair: Pair) -> None:
    parent = pair.run("parent", kind="combination")
    pair.run("child", **{PARENT: parent})
    pair.outbox.delete_run(parent)
    pair.deliver()
    assert [run["name"] for run in content(pair.server_uri)] == ["child"]
    assert pair.left() == 0


def test_a_duplicate_run_from_a_delayed_request_is_deleted(pair: Pair) -> None:
    run = pair.run("it")
    pair.deliver()
    late = pair.server.create_run("1", tags={"outbox_run_id": run})
    pair.outbox.set_terminated(run)
    pair.deliver()
    [left] = pair.server.search_runs(["1"])
    assert left.info.run_id != late.info.run_id
    assert deleted_statuses(pair.server) == ["KILLED"]


def test_a_run_rejected_by_the_server_does_not_delay_others(pair: Pair) -> None:
    pair.fill()
    refused = pair.server.create_experiment("refused")
    pair.server.delete_experiment(refused)
    elsewhere = pair.place.experiment(pair.outbox, "refused")
    pair.outbox.create_run(elsewhere, run_name="a")
    sent = pair.deliver()
    assert (sent.runs, sent.left) == (4, 1)
    assert "active" in sent.problem
    pair.server.restore_experiment(refused)
    assert pair.deliver().left == 0
    assert {run["name"] for run in content(pair.server_uri)} == {"a", "#0", "#1", "sweep"}


def test_a_new_outbox_pulls_delivered_runs_and_sends_nothing_back(pair: Pair) -> None:
    pair.fill()
    pair.deliver()
    before = content(pair.server_uri, timed=True)
    shutil.move(pair.place.folder, pair.folder / "lost")
    again = Pair.__new__(Pair)
    again.folder, again.server, again.server_uri = pair.folder, pair.server, pair.server_uri
    again.place = Outbox("http://server", pair.folder / "new")
    again.place.open()
    again.outbox = connect(again.place.uri)
    for _ in range(2):
        again.pull()
        taken = content(again.place.uri, timed=True)
        expected = [run for run in before if run["name"] != "#1"]  # it was not finished
        for run in expected:
            run["artifacts"], run["models"] = [], []
        assert taken == expected
        assert again.deliver() == Sent(runs=0, points=0, left=0)


def test_a_run_delivered_after_its_parent_is_pulled_under_it(pair: Pair) -> None:
    on_server: dict[str, str] = {}
    for name, kind in (("parent", "combination"), ("child", "sweep")):
        family = {PARENT: on_server["parent"]} if on_server else {}
        tags = {"experiment": "tiny", "kind": kind, **family}
        on_server[name] = pair.server.create_run("1", run_name=name, tags=tags).info.run_id
        pair.pull()
    assert {run["name"]: run["parent"] for run in content(pair.place.uri)} == {
        "parent": None,
        "child": "parent",
    }


def test_the_run_of_mlflow_run_is_the_same_run_in_the_outbox(pair: Pair) -> None:
    given = pair.server.create_run("1", run_name="given")
    pair.server.log_param(given.info.run_id, "epochs", "7")
    with closing(SyncState(pair.place.sync_state_file)) as sync_state:
        pull = Pull(pair.place, pair.outbox, pair.server, sync_state)
        local = pull.take_run(given.info.run_id)
        assert pull.take_run(given.info.run_id) == local
        pair.server.set_terminated(given.info.run_id)
        with pytest.raises(StoreError, match="not a new one, 'given'"):
            pull.take_run(given.info.run_id)
    pair.server.update_run(given.info.run_id, status="RUNNING")
    tracker = Tracker(pair.outbox, "tiny", pair.experiment)
    run = tracker.adopt(local, "tiny", {"kind": "sweep"}, {"epochs": 2, "model": "m"})
    run.end()
    pair.deliver()
    [on_server] = pair.server.search_runs(["1"])
    assert on_server.info.run_id == given.info.run_id
    assert on_server.data.params == {"epochs": "7", "model": "m"}
    assert (on_server.info.run_name, on_server.info.status) == ("tiny", "FINISHED")


def test_a_lost_sync_state_creates_no_second_run(pair: Pair) -> None:
    pair.fill()
    pair.deliver()
    before = content(pair.server_uri, timed=True)
    pair.place.sync_state_file.unlink()
    pair.deliver()
    assert content(pair.server_uri, timed=True) == before


def test_a_server_with_a_new_store_gets_everything_again(pair: Pair, store_template: Path) -> None:
    pair.fill()
    pair.deliver()
    shutil.copy(store_template, pair.folder / "second.db")
    pair.server_uri = f"sqlite:///{pair.folder / 'second.db'}"
    pair.server = connect(pair.server_uri)
    pair.pull()
    pair.deliver()
    assert [run["name"] for run in content(pair.server_uri)] == ["#0", "#1", "sweep"]


def test_a_description_that_a_user_wrote_on_the_server_is_not_changed(pair: Pair) -> None:
    note = "mlflow.note.content"
    pair.run("it")
    for text in ("first", "second"):
        pair.outbox.set_experiment_tag(pair.experiment, note, f"**Ranking of the sweep**\n\n{text}")
        pair.deliver()
        assert pair.server.get_experiment("1").tags[note].endswith(text)
    pair.server.set_experiment_tag("1", note, "mine")
    pair.outbox.set_experiment_tag(pair.experiment, note, "**Ranking of the sweep**\n\nthird")
    pair.deliver()
    assert pair.server.get_experiment("1").tags[note] == "mine"


def test_a_view_that_a_user_has_changed_on_the_server_is_kept(pair: Pair) -> None:
    ranking = "mlflow.sharedViewState.ranking"
    pair.run("it")
    save_views(pair.outbox, pair.experiment)
    pair.deliver()
    assert "deflate;" in pair.server.get_experiment("1").tags[ranking]
    pair.server.set_experiment_tag("1", ranking, "mine")
    pair.outbox.set_experiment_tag(pair.experiment, "mlflow.note.content", "a change")
    pair.deliver()
    assert pair.server.get_experiment("1").tags[ranking] == "mine"


def test_each_server_has_an_outbox_of_its_own() -> None:
    assert outbox_of("http://host") == outbox_of("http://host")
    assert outbox_of("http://host") != outbox_of("http://host:5000")


def test_a_server_that_does_not_answer_ends_the_round(pair: Pair) -> None:
    pair.run("it")
    with closing(SyncState(pair.place.sync_state_file)) as sync_state:
        away = mlflow.MlflowClient("http://127.0.0.1:9")  # the discard port
        with pytest.raises(StoreError, match="does not answer"):
            Push(pair.outbox, away, sync_state).round()
    assert pair.left() == 1


def test_mlflow_experiments_are_still_found_by_name(pair: Pair) -> None:
    assert mlflow_experiment(pair.outbox, "tiny") == pair.experiment
    location = pair.outbox.get_experiment(pair.experiment).artifact_location
    assert location.startswith(str(pair.place.folder))


def test_an_outbox_can_be_read_by_its_user_only(pair: Pair) -> None:
    assert pair.place.folder.stat().st_mode & 0o777 == 0o700


def with_champion(pair: Pair) -> str:
    """Write a sweep that names the champion; return the id of its model in the outbox."""
    sweep = pair.run("sweep", kind="sweep")
    best = pair.run("a+b seed 1", kind="confirmation", **{PARENT: sweep})
    pair.add_model(best)
    pair.outbox.set_tag(best, "trial_state", "COMPLETE")
    pair.outbox.set_terminated(best)
    pair.outbox.set_tag(sweep, "champion", best)
    pair.outbox.set_tag(sweep, "champion.combination", "a+b")
    pair.outbox.set_terminated(sweep)
    outputs = pair.outbox.get_run(best).outputs
    assert outputs is not None
    return str(outputs.model_outputs[0].model_id)


def registered(pair: Pair) -> list[str]:
    """The versions on the server; each has a model there."""
    found = pair.server.search_model_versions("name = 'tiny'")
    for version in found:
        run = pair.server.get_run(str(version.run_id))
        assert run.outputs is not None
        model = pair.server.get_logged_model(run.outputs.model_outputs[0].model_id)
        assert version.source == model.artifact_location
        assert (Path(model.artifact_location) / "data" / "weights").exists()
        assert "mlflow.modelVersions" in model.tags
    return [str(version.version) for version in found]


def test_the_champion_is_registered_on_the_server_after_its_model(pair: Pair) -> None:
    with_champion(pair)
    assert pair.deliver().warnings == ()
    assert registered(pair) == ["1"]
    version = pair.server.get_model_version_by_alias("tiny", "champion")
    on_server = {run.info.run_name: run for run in pair.server.search_runs(["1"])}
    assert version.run_id == on_server["a+b seed 1"].info.run_id
    assert on_server["sweep"].data.tags["champion"] == version.run_id
    assert version.tags == {"combination": "a+b", "sweep": on_server["sweep"].info.run_id}
    assert pair.outbox.search_model_versions("name = 'tiny'") == []
    assert pair.deliver() == Sent(runs=0, points=0, left=0)


@pytest.mark.parametrize("call", [14, 16, 17, 18, 19, 20, 21, 22, 23])
@pytest.mark.parametrize("taken", [True, False])
def test_after_a_lost_request_or_response_the_champion_is_registered_once(
    pair: Pair, call: int, taken: bool
) -> None:
    with_champion(pair)
    failing = Failing(pair.server, {call: taken})
    for _ in range(2):
        pair.deliver(failing)
    assert failing.calls > call
    assert pair.left() == 0
    assert registered(pair) == ["1"]
    assert pair.server.get_model_version_by_alias("tiny", "champion").tags["combination"] == "a+b"


class WithoutRegistry(Failing):
    """A client of a server without a registry."""

    def create_registered_model(self, *_: Any) -> None:
        raise MlflowException("403: not permitted", PERMISSION_DENIED)


def test_a_server_that_refuses_the_champion_gets_everything_else(pair: Pair) -> None:
    with_champion(pair)
    sent = pair.deliver(WithoutRegistry(pair.server, {}))
    assert (sent.runs, sent.left) == (2, 0)
    assert sent.warnings == ("the champion of tiny is not registered: 403: not permitted",)
    assert registered(pair) == []


def test_a_champion_that_was_sent_by_another_machine_is_registered(
    pair: Pair, tmp_path: Path, store_template: Path
) -> None:
    """Its model is on the server only."""
    with_champion(pair)
    pair.deliver(WithoutRegistry(pair.server, {}))
    other = Pair.__new__(Pair)
    other.place = Outbox("http://server", tmp_path / "other")
    other.place.open()
    shutil.copy(store_template, other.place.folder / "mlflow.db")
    other.outbox, other.server = connect(other.place.uri), pair.server
    other.pull()
    [sweep] = [run for run in other.outbox.search_runs(["1"]) if run.info.run_name == "sweep"]
    champion = other.outbox.get_run(sweep.data.tags["champion"])
    assert champion.info.run_name == "a+b seed 1"
    other.outbox.set_tag(sweep.info.run_id, "resumed", "1")  # the sweep is repeated
    assert other.deliver().warnings == ()
    assert registered(pair) == ["1"]
