"""Stores in folders whose names have letters that MLflow and SQLAlchemy decode."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from mlflow.utils.file_utils import local_file_uri_to_path

from cifar_exp import study
from cifar_exp.errors import BadInput
from cifar_exp.tracking import StoreError, connect, mlflow_experiment, outbox_of, resolve_uri
from cifar_exp.tracking.project_run import inherited_run
from tests.folder_names import EVERY_LETTER, ODD


@pytest.fixture(autouse=True)
def _default_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("name", ODD)
def test_a_run_and_its_files_are_stored_in_the_current_folder(
    tmp_path: Path, store_template: Path, name: str
) -> None:
    here = tmp_path / name
    here.mkdir()
    shutil.copy(store_template, here)
    with chdir(here):
        client = connect(resolve_uri(None))
        run = client.create_run(mlflow_experiment(client, "tiny")).info
        client.log_text(run.run_id, "a text", "folder/a file.txt")
        read = Path(client.download_artifacts(run.run_id, "folder/a file.txt")).read_text()
    assert list(tmp_path.iterdir()) == [here]
    [stored] = here.glob(f"mlruns/*/{run.run_id}/artifacts/folder/a file.txt")
    assert stored.read_text() == read == "a text"


def test_new_databases_are_created_in_the_current_folder(tmp_path: Path) -> None:
    here = tmp_path / EVERY_LETTER
    here.mkdir()
    with chdir(here):
        client = connect(resolve_uri(None))
        study.connect(study.resolve_url(None))
    assert {path.name for path in here.glob("*.db")} == {"mlflow.db", "optuna.db"}
    assert list(tmp_path.iterdir()) == [here]
    place = client.get_experiment("0").artifact_location  # not used by this program
    assert Path(local_file_uri_to_path(place)) == here / "mlruns" / "0"


def test_an_outbox_is_stored_in_its_folder(
    tmp_path: Path, store_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = tmp_path / "out%20box?"
    monkeypatch.setenv("CIFAR_EXP_OUTBOX", str(boxes))
    outbox = outbox_of("http://127.0.0.1:1")
    outbox.open()
    shutil.copy(store_template, outbox.folder)
    client = connect(outbox.uri)
    run = client.create_run(outbox.experiment(client, "tiny")).info.run_id
    client.log_text(run, "a text", "a file.txt")
    assert list(tmp_path.iterdir()) == [boxes]
    assert list(outbox.folder.glob(f"artifacts/*/{run}/artifacts/a file.txt"))


def test_an_experiment_whose_files_would_go_to_another_folder_is_refused(
    tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(tracking_uri)
    made = client.create_experiment("tiny", str(tmp_path / "My%20Repo"))  # as `mlflow run` does
    with pytest.raises(StoreError, match=r"'tiny' to .*/My Repo instead of .*/My%20Repo: "):
        mlflow_experiment(client, "tiny")
    monkeypatch.setenv("MLFLOW_RUN_ID", client.create_run(made).info.run_id)
    with pytest.raises(StoreError, match=r"/My Repo instead of "):
        inherited_run(client)


def test_a_current_folder_that_is_not_utf8_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "caf\udce9"
    here.mkdir()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    refused = pytest.raises(BadInput, match=r"/caf\\xe9/\S+ is not UTF-8, .*: rename")
    with chdir(here):
        with refused:
            resolve_uri(None)
        with refused:
            study.resolve_url(None)
