"""The main tests with a PostgreSQL server for both MLflow and Optuna."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifar_exp import study
from cifar_exp.cli.compare import compare
from cifar_exp.maintenance import doctor
from cifar_exp.tracking import StoreError, connect
from tests import tiny
from tests.bench import CLI, Bench, scores, studies, tiny_search
from tests.chaos.bench import fault
from tests.postgresql import SECRET, Server, postgresql


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with an empty database for MLflow and one for Optuna."""
    with postgresql("CREATE DATABASE mlflow", "CREATE DATABASE optuna") as started:
        yield started


def command(server: Server, *words: str, faults: Sequence[object] = ()) -> subprocess.Popen[str]:
    stores = {"MLFLOW_TRACKING_URI": server.url("mlflow"), "OPTUNA_STORAGE": server.url("optuna")}
    return subprocess.Popen(
        [*CLI, *words],
        env={**os.environ, **stores, "CIFAR_EXP_FAULTS": json.dumps(faults)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a command, and return its output."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert SECRET not in out + err
    return out if code == 0 else err


@pytest.mark.chaos
@pytest.mark.usefixtures("data", "no_pictures")
def test_a_killed_and_resumed_sweep_has_the_results_of_sqlite(
    server: Server,
    tracking_uri: str,
    storage_url: str,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    definition = tmp_path / "tiny.toml"
    search = tiny_search("tpe", "median")
    definition.write_text(tiny.definition(images, epochs="4", losses="mse = {}", search=search))
    bench = Bench(server.url("mlflow"), server.url("optuna"))
    words = ("run", str(definition), "--workers", "1", "--threads", "1")
    connect(bench.tracking_uri)
    deadly = fault("after_checkpoint", training="mse+sgd #1", epoch=2, to="group")
    first = command(server, *words, faults=[{**deadly, "marks": str(tmp_path / "marks")}])
    finished(first, -signal.SIGKILL)
    kept = {r.run_id for r in bench.records() if r.finished}
    shown = finished(command(server, *words))
    assert kept <= {r.run_id for r in bench.records() if r.finished}
    assert bench.running() == []
    assert {len(each.trials) for each in studies(bench)} == {3}
    assert doctor.visit(None, bench.tracking_uri, bench.storage_url, dry_run=True) == {"tiny": []}

    other = Bench(tracking_uri, storage_url)
    alone = other.run(definition.read_text())
    assert bench.results() == other.results()
    capsys.readouterr()
    compared = compare("tiny", tracking_uri=bench.tracking_uri)
    assert scores(compared) == scores(alone)
    assert capsys.readouterr().out in shown

    assert f"--backend-store-uri postgresql+psycopg://127.0.0.1:{server.port}/mlflow" in shown
    for database in ("mlflow", "optuna"):
        assert SECRET not in server.dump(database)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    place = connect(bench.tracking_uri).get_experiment_by_name("tiny")
    assert place is not None
    assert Path(place.artifact_location).is_relative_to(tmp_path / "mlruns")


@pytest.mark.parametrize("change", [{"port": 1}, {"password": f"{SECRET}-wrong"}])
def test_a_server_that_cannot_be_used_is_reported_without_the_password(
    server: Server, change: dict[str, Any]
) -> None:
    wrong = replace(server, **change)
    with pytest.raises(StoreError) as error:
        connect(wrong.url("mlflow"))
    assert str(error.value).startswith(
        f"the MLflow store postgresql+psycopg://127.0.0.1:{wrong.port}/mlflow cannot be used: "
    )
    with pytest.raises(study.StudyError) as other_error:
        study.connect(wrong.url("optuna"))
    assert SECRET not in f"{error.value} {other_error.value}"


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(StoreError, match="No module named 'psycopg2'; install its driver"):
        connect("postgresql+psycopg2://owner@127.0.0.1/mlflow")
