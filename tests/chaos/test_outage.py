"""A real tracking server that is killed or frozen, temporarily or for good, during a sweep."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from mlflow.exceptions import MlflowException

from benchmarks.server import Server
from tests import tiny
from tests.chaos.template import ROOT, Program
from tests.content import content
from tests.once import once
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

PATIENCE = 240
SECONDS_FROZEN = 20
TRAININGS = 10


class Command:
    """A command of the CLI; a test can wait for lines on either stream."""

    def __init__(self, *words: str, folder: Path, **variables: str) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.seen: list[str] = []
        ours, theirs = os.pipe()
        environment = {"PYTHONPATH": str(ROOT), "CHAOS_EPOCHS": str(folder / "epochs"), **variables}
        self.process = Program(*words, cwd=folder, environment=environment, output=theirs)
        os.close(theirs)
        threading.Thread(target=self._read, args=[ours], daemon=True).start()

    def _read(self, output: int) -> None:
        with open(output) as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def wait_for(self, text: str) -> None:
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.seen.append(line)
            if text in line:
                return
        pytest.fail(f"{text!r} was not printed: {self.seen}")

    def end(self) -> int:
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.seen.append(line)
        return self.process.wait(PATIENCE)


class ServedSweep:
    """The folder of a sweep, its server, and its own outbox."""

    def __init__(self, folder: Path, images: Path, server: Server, cache: Path) -> None:
        self.folder = folder
        self.server = server
        self.variables = {
            "CIFAR_EXP_OUTBOX": str(folder / "outbox"),
            "CIFAR_EXP_CACHE": str(cache),
            "CHAOS_SECONDS": "0.1",  # per epoch, so that the faults occur during training
            "CHAOS_GATE": str(folder / "gate"),
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "3",  # to detect a frozen server sooner
        }
        (folder / "tiny.toml").write_text(_definition(images))

    def sweep(self, uri: str | None = None) -> Command:
        return self.command("run", "tiny.toml", *ONE, "--tracking-uri", uri or self.server.uri)

    def command(self, *words: str) -> Command:
        return Command(*words, folder=self.folder, **self.variables)

    def pause(self) -> None:
        """Pause the sweep at the end of its next epoch."""
        (self.folder / "gate").touch()

    def resume(self) -> None:
        (self.folder / "gate").unlink()

    def train_on(self) -> None:
        """Let the paused sweep train two more epochs."""
        epochs = self.folder / "epochs"
        enough = epochs.stat().st_size + 2
        self.resume()
        wait_until(lambda: epochs.stat().st_size >= enough)
        self.pause()


ONE = ("--workers", "1", "--threads", "1")


def _definition(images: Path) -> str:
    return tiny.definition(images, epochs="6")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of all sweeps of this module: a run records the path of its data set."""
    return once(tmp_path_factory, "outage-cache", lambda _: None)


@pytest.fixture(scope="module")
def plain(
    tmp_path_factory: pytest.TempPathFactory, images: Path, store_template: Path, cache: Path
) -> list[dict[str, Any]]:
    """The runs of the same sweep in a database file, without faults."""

    def fill(folder: Path) -> None:
        shutil.copy(store_template, folder / "mlflow.db")
        (folder / "tiny.toml").write_text(_definition(images))
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        variables = {"CIFAR_EXP_CACHE": str(cache)}
        words = ("run", "tiny.toml", *ONE, "--tracking-uri", uri)
        assert Command(*words, folder=folder, **variables).end() == 0

    return content(f"sqlite:///{once(tmp_path_factory, 'plain', fill) / 'mlflow.db'}")


@pytest.fixture
def served(
    tmp_path: Path, images: Path, store_template: Path, cache: Path
) -> Iterator[ServedSweep]:
    shutil.copy(store_template, tmp_path / "server.db")
    server = Server(tmp_path)
    server.start()
    try:
        yield ServedSweep(tmp_path, images, server, cache)
    finally:
        server.signal(signal.SIGCONT)
        server.stop()


def assert_delivered(served: ServedSweep, plain: list[dict[str, Any]], images: Path) -> None:
    """Check that the server has the same content as the database of an undisturbed sweep."""
    stored = content(served.server.uri)
    assert [run["name"] for run in stored] == [run["name"] for run in plain]
    for run, expected in zip(stored, plain, strict=True):
        assert run == expected
    trainings = [run for run in stored if run["tags"]["kind"] in ("trial", "confirmation")]
    assert len(trainings) == TRAININGS
    [version] = mlflow.MlflowClient(served.server.uri).search_model_versions("name = 'tiny'")
    assert version.tags["combination"] in {run["tags"]["combination"] for run in trainings}
    assert_a_model_loads(served.server.uri, images)


def assert_a_model_loads(uri: str, images: Path) -> None:
    """Load a model from the server by its id and by its run; both give the same logits."""
    client = mlflow.MlflowClient(uri)
    [run] = client.search_runs(["1"], "tags.kind = 'confirmation'", max_results=1)
    assert run.outputs is not None
    [output] = run.outputs.model_outputs
    test = tiny.dataset(images).test.images
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        by_id = mlflow.pytorch.load_model(f"models:/{output.model_id}")
        by_run = mlflow.pytorch.load_model(f"runs:/{run.info.run_id}/{run.info.run_name}")
    assert by_id(test).shape == (len(test), 3)
    assert torch.equal(by_id(test), by_run(test))


def warnings(command: Command) -> list[str]:
    """Return the warnings of a command, but that of the few images."""
    found = [line for line in command.seen if line.startswith("warning")]
    return [line for line in found if "validation images" not in line]


def test_a_server_frozen_and_then_killed_loses_nothing(
    served: ServedSweep, plain: list[dict[str, Any]], images: Path
) -> None:
    sweep = served.sweep()
    sweep.wait_for(f"[1/{TRAININGS}]")
    served.pause()
    served.server.signal(signal.SIGSTOP)
    thawed = time.monotonic() + SECONDS_FROZEN
    sweep.wait_for("does not answer; training continues")
    served.train_on()
    time.sleep(max(0, thawed - time.monotonic()))
    served.server.signal(signal.SIGCONT)
    sweep.wait_for("answers again")
    served.server.signal(signal.SIGKILL)
    served.server.stop()
    sweep.wait_for("does not answer; training continues")
    served.train_on()
    served.server.start()
    sweep.wait_for("answers again")
    served.resume()
    assert sweep.end() == 0
    assert len(warnings(sweep)) == 4
    assert not [line for line in sweep.seen if "not delivered" in line]
    assert_delivered(served, plain, images)
    assert f"Report: {served.server.uri}/#/experiments/1/runs/" in "\n".join(sweep.seen)


def test_a_frozen_server_delays_no_end(served: ServedSweep) -> None:
    del served.variables["MLFLOW_HTTP_REQUEST_TIMEOUT"]  # the default value
    sweep = served.sweep()
    sweep.wait_for(f"[{TRAININGS - 1}/{TRAININGS}]")
    served.server.signal(signal.SIGSTOP)
    sweep.wait_for(f"[{TRAININGS}/{TRAININGS}]")
    frozen = time.monotonic()
    assert sweep.end() == 0
    assert time.monotonic() - frozen < 30  # about 15 for the delivery, plus the report
    assert "not delivered" in sweep.seen[-1]


def test_runs_that_are_not_delivered_stay_in_the_outbox_and_are_delivered_once(
    served: ServedSweep, plain: list[dict[str, Any]], images: Path
) -> None:
    sweep = served.sweep(served.server.uri.replace("//", "//somebody:S3CRET@"))
    sweep.wait_for(f"[2/{TRAININGS}]")
    served.server.signal(signal.SIGKILL)
    served.server.stop()
    assert sweep.end() == 0
    [warning] = warnings(sweep)
    assert warning == f"warning: {served.server.uri} does not answer; training continues, " + (
        "runs are kept on this machine"
    )
    assert any(line.startswith("True for these settings") for line in sweep.seen)  # the ranking
    found = re.fullmatch(
        rf"(\d+) runs are not delivered to {served.server.uri}: "
        "`cifar-exp deliver` sends them",
        sweep.seen[-1],
    )
    assert found
    away = served.command("deliver")
    assert away.end() == 3
    assert "does not answer" in away.seen[-1]
    served.server.start()
    first = served.command("deliver")
    assert first.end() == 0
    assert first.seen[-1].startswith(f"{served.server.uri}: {found[1]} runs and ")
    assert_delivered(served, plain, images)
    second = served.command("deliver")
    assert second.end() == 0
    assert second.seen == [f"{served.server.uri}: 0 runs and 0 points sent, nothing is left"]
    assert_delivered(served, plain, images)
    assert not [line for line in (*sweep.seen, *first.seen) if "S3CRET" in line]
    files = [path for path in served.folder.rglob("*") if path.is_file()]
    assert any(path.name == "delivered.db" for path in files)
    assert not [path for path in files if b"S3CRET" in path.read_bytes()]


def test_the_doctor_closes_runs_of_a_killed_sweep_on_the_server(served: ServedSweep) -> None:
    sweep = served.sweep()
    sweep.wait_for(f"[1/{TRAININGS}]")
    served.pause()
    _wait_until_there(served.server.uri, 1)
    sweep.process.kill()
    assert sweep.end() == -signal.SIGKILL
    served.resume()
    assert "RUNNING" in {run["status"] for run in content(served.server.uri)}
    doctor = ("doctor", "tiny", "--tracking-uri", served.server.uri)
    looked = served.command(*doctor, "--dry-run")
    assert looked.end() == 0
    assert looked.seen[-1].endswith("nothing was changed")
    assert "RUNNING" in {run["status"] for run in content(served.server.uri)}
    mended = served.command(*doctor)
    assert mended.end() == 0
    assert any(line.endswith("was left open: closed as KILLED") for line in mended.seen), (
        mended.seen
    )
    assert mended.seen[-1].endswith("nothing is left")
    assert "RUNNING" not in {run["status"] for run in content(served.server.uri)}
    assert served.sweep().end() == 0
    trainings = [r for r in content(served.server.uri) if "number" in r["tags"]]
    assert (len(trainings), {r["status"] for r in trainings}) == (TRAININGS, {"FINISHED"})


def test_a_killed_delivery_is_resumed(
    served: ServedSweep, plain: list[dict[str, Any]], images: Path
) -> None:
    sweep = served.sweep()
    sweep.wait_for(f"[1/{TRAININGS}]")
    served.server.signal(signal.SIGKILL)
    served.server.stop()
    assert sweep.end() == 0
    served.server.start()
    for num_ended in (2, 5):  # the number of delivered trainings
        killed = served.command("deliver")
        _wait_until_there(served.server.uri, num_ended)
        killed.process.send_signal(signal.SIGKILL)
        assert killed.end() == -signal.SIGKILL
    assert served.command("deliver").end() == 0
    assert_delivered(served, plain, images)


def _wait_until_there(uri: str, num_ended: int) -> None:
    client = mlflow.MlflowClient(uri)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            found = client.search_runs(["1"], "tags.kind = 'trial'")
        except MlflowException:
            continue  # the experiment does not exist yet
        if sum(run.info.status != "RUNNING" for run in found) >= num_ended:
            return
        time.sleep(0.02)
    pytest.fail("the delivery did not reach this number of trainings")
