"""Fixtures of all tests: no test writes to the user's own folders or stores."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cifar_exp.cli import main
from cifar_exp.components.datasets import Dataset
from cifar_exp.system import signals
from tests import tiny
from tests.command import Cli, Shown
from tests.once import once

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from cifar_exp.tracking import Tracker
    from tests.bench import Bench

# Tests send it to processes, which would ignore it as `nohup pytest` does.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Tiny inputs train fastest on one thread; torch reads this when it is first imported.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Use a separate cache for the tests, without MLflow's variables of the caller."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_EXP_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("CIFAR_EXP_OUTBOX", str(tmp_path_factory.mktemp("outbox")))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        for name in ("TRACKING_URI", "RUN_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME"):
            patch.delenv(f"MLFLOW_{name}", raising=False)
        yield


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> None:
    """Exclude loaded modules from garbage collection, which would traverse torch and MLflow.

    With these modules, each collection takes half a second.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Restore the number of threads after a test: with more, tiny trainings are slow."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: copying one is fast, creating one takes a second."""
    import mlflow

    def fill(folder: Path) -> None:
        path = folder / "mlflow.db"
        with chdir(folder):  # the folder of artifacts of its default experiment
            mlflow.MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
        sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")  # everything in one file

    return once(tmp_path_factory, "template", fill) / "mlflow.db"


@pytest.fixture
def tracking_uri(tmp_path: Path, store_template: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An MLflow store for one test, in the current folder, together with its artifacts."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(store_template, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def tracker(tracking_uri: str) -> Tracker:
    """The runs of the experiment `tiny` in a store for one test."""
    from cifar_exp.tracking import Tracker, connect, mlflow_experiment

    client = connect(tracking_uri)
    return Tracker(client, "tiny", mlflow_experiment(client, "tiny"))


@pytest.fixture
def storage_url(tmp_path: Path) -> str:
    """An Optuna storage for one test."""
    return f"sqlite:///{tmp_path / 'optuna.db'}"


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny images."""
    return once(tmp_path_factory, "images", tiny.write_images)


@pytest.fixture(scope="session")
def data(images: Path, _own_environment: None) -> Dataset:
    """The tiny images as a data set."""
    return tiny.dataset(images)


def leave_out_pictures(patch: pytest.MonkeyPatch) -> None:
    """Write reports without figures: drawing them takes as long as training a tiny sweep."""
    from cifar_exp.report import files

    patch.setattr(files, "store", lambda *_: "")


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures."""
    leave_out_pictures(monkeypatch)


@pytest.fixture
def bench(tracking_uri: str, storage_url: str, data: Dataset, no_pictures: None) -> Bench:
    """A pair of stores, for sweeps in this process."""
    from tests.bench import Bench  # it imports all modules

    del data, no_pictures  # decoded only once; no figures
    return Bench(tracking_uri, storage_url)


@pytest.fixture(scope="session")
def finished_sweep(
    tmp_path_factory: pytest.TempPathFactory, store_template: Path, images: Path, data: Dataset
) -> Path:
    """The folder of a finished sweep of `tiny.definition`, created once for all tests."""
    from tests.bench import Bench

    def fill(folder: Path) -> None:
        shutil.copy(store_template, folder)
        stores = [f"sqlite:///{folder / name}" for name in ("mlflow.db", "optuna.db")]
        with chdir(folder), pytest.MonkeyPatch.context() as patch:
            leave_out_pictures(patch)
            Bench(*stores).run(tiny.definition(images))
        for name in ("mlflow.db", "optuna.db"):
            sqlite3.connect(folder / name).execute("PRAGMA wal_checkpoint(TRUNCATE)")

    del data  # decoded only once
    return once(tmp_path_factory, "finished", fill)


@pytest.fixture
def swept(bench: Bench, finished_sweep: Path, tmp_path: Path) -> None:
    """Copy a finished sweep of `tiny.definition` to the stores of the bench."""
    del bench  # its empty stores are replaced
    shutil.copytree(finished_sweep, tmp_path, dirs_exist_ok=True)
    columns = [
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("logged_models", "artifact_location"),
        ("model_versions", "source"),
        ("model_versions", "storage_location"),
    ]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        for table, column in columns:
            database.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                (str(finished_sweep), str(tmp_path)),
            )


@pytest.fixture
def other_bench(tmp_path: Path, store_template: Path, bench: Bench) -> Bench:
    """Another pair of stores, to compare with."""
    from tests.bench import Bench

    del bench
    shutil.copy(store_template, tmp_path / "other.db")
    return Bench(*(f"sqlite:///{tmp_path / name}" for name in ("other.db", "other-optuna.db")))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Run a command like a user, but in this process."""
    handlers = {number: signal.getsignal(number) for number in signals.ENDING}

    def run(*arguments: object) -> Shown:
        monkeypatch.setattr(sys, "argv", ["cifar-exp", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Shown(int(ended.value.code or 0), *capsys.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one file: while it runs, its thread has an event loop."""
    from tests.browser import started

    with started() as found:
        yield found
