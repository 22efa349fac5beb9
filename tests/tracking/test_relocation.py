"""Stores that were copied or moved: their own files are used, and those of the original are not."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import chdir, closing
from pathlib import Path

import mlflow
import pytest

from cifar_exp.api.comparison import read_results
from cifar_exp.errors import Unavailable
from cifar_exp.maintenance import doctor, model_gc
from cifar_exp.system import sqlite
from cifar_exp.tracking import (
    Client,
    StoredModel,
    Tracker,
    connect,
    connect_to_read,
    mlflow_experiment,
    read_predictions,
)
from cifar_exp.tracking.outbox.outbox import Outbox
from cifar_exp.tracking.store.relocation import Misplaced
from tests import tiny
from tests.bench import Bench
from tests.permissions import without_root_rights

LOCATIONS = """
    SELECT artifact_location FROM experiments UNION ALL SELECT artifact_uri FROM runs
    UNION ALL SELECT artifact_location FROM logged_models
    UNION ALL SELECT source FROM model_versions WHERE source LIKE '/%'
    UNION ALL SELECT storage_location FROM model_versions
    UNION ALL SELECT value FROM trace_tags WHERE key = 'mlflow.artifactLocation'
"""


def uri(folder: Path, name: str = "mlflow.db") -> str:
    return sqlite.url_of(folder / name)


def locations(folder: Path, name: str = "mlflow.db") -> set[str]:
    with closing(sqlite3.connect(folder / name)) as database:
        return {row[0] for row in database.execute(LOCATIONS)}


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder; the log of a database that is open is merged into it first."""
    for path in folder.glob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not path.name.endswith(("-wal", "-shm"))
    }


def add_model(client: Client, experiment: str = "tiny") -> str:
    """Add a run with a note and a model; return the run's id."""
    run = Tracker(client, experiment, mlflow_experiment(client, experiment)).new_run(
        "train", "mse+sgd", tags={}, params={}
    )
    run.log_text("text", "note.txt")
    model = client.create_logged_model(run.info.experiment_id, "model", run.run_id)
    client.log_outputs(run.run_id, [mlflow.entities.LoggedModelOutput(model.model_id, 0)])
    place = Path(model.artifact_location)
    place.mkdir(parents=True)
    (place / "MLmodel").write_text("model")
    return run.run_id


def models(client: Client) -> list[StoredModel]:
    found = client.search_logged_models(["1"])
    return [StoredModel(client, model.model_id, model.artifact_location) for model in found]


@pytest.fixture
def store(tmp_path: Path, store_template: Path) -> Path:
    """The folder of a store with one run and its model, and a row in every table with places."""
    folder = tmp_path / "original"
    folder.mkdir()
    shutil.copy(store_template, folder)
    client = connect(uri(folder))
    run = add_model(client)
    [model] = client.search_logged_models(["1"])
    client.create_registered_model("chosen")
    client.create_model_version("chosen", model.artifact_location, run)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("UPDATE model_versions SET storage_location = source")
        database.execute(
            "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) "
            "VALUES ('tr-1', 1, 0, 'OK')"
        )
        place = f"{folder}/mlruns/1/traces/tr-1/artifacts"
        database.execute(
            "INSERT INTO trace_tags VALUES ('mlflow.artifactLocation', ?, 'tr-1')", (place,)
        )
    contents(folder)  # everything in one file
    return folder


@pytest.fixture
def run_id(store: Path) -> str:
    [run] = connect_to_read(uri(store)).search_runs(["1"])
    return str(run.info.run_id)


def test_files_of_new_experiments_are_beside_the_database(
    store: Path, run_id: str, tmp_path: Path
) -> None:
    del run_id
    with chdir(tmp_path):  # MLflow would use the current folder
        connect(uri(store)).create_experiment("mlflow's own")
        client = connect(uri(store))
        add_model(client, "second")
    assert len(locations(store)) == 4 + 2 + 2 + 1  # experiments, runs, models, a trace
    assert all(place.startswith(f"{store}/mlruns/") for place in locations(store))
    assert not (tmp_path / "mlruns").exists()


def test_a_copy_names_its_own_files_and_leaves_the_original_alone(
    store: Path, run_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    before, named = contents(store), locations(store)
    client = connect(uri(copy))
    assert locations(copy) == {place.replace(str(store), str(copy)) for place in named}
    assert capsys.readouterr().err == (
        f"warning: {copy}/mlflow.db was copied or moved here from {store}: the locations of 1 run "
        "and 1 model are changed to this folder\n"
    )
    client.log_text(run_id, "changed", "note.txt")
    add_model(client)
    for model in models(client):
        model.delete()
    assert not list(copy.rglob("MLmodel"))
    assert contents(store) == before
    connect(uri(copy))
    assert capsys.readouterr().err == ""


def test_a_moved_store_is_relocated_and_its_old_place_stays_away(
    store: Path, run_id: str, tmp_path: Path
) -> None:
    new = store.rename(tmp_path / "new")
    client = connect(uri(new))
    client.log_text(run_id, "changed", "note.txt")
    assert Path(client.download_artifacts(run_id, "note.txt")).read_text() == "changed"
    [model] = client.search_logged_models(["1"])
    assert (Path(model.artifact_location) / "MLmodel").exists()
    assert not store.exists()


def test_a_store_in_a_folder_with_two_names_is_not_changed(store: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(store)
    named = locations(store)
    connect(uri(link))
    assert locations(store) == named


def test_a_database_copied_without_its_files_is_only_read(
    store: Path, run_id: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(store / "mlflow.db", copy)
    before = contents(copy), contents(store)
    with pytest.raises(
        Misplaced, match=rf"belong to {store}/mlflow.db\): copy {store}/mlruns/1 to "
    ):
        connect(uri(copy))
    assert connect_to_read(uri(copy)).get_run(run_id)
    assert (contents(copy), contents(store)) == before
    shutil.copytree(store / "mlruns", copy / "mlruns")  # as the message says
    connect(uri(copy))
    assert all(place.startswith(str(copy)) for place in locations(copy))


def test_a_database_copied_beside_older_files_is_only_read(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    add_model(connect(uri(store)))
    contents(store)
    shutil.copy(store / "mlflow.db", copy)
    before = contents(copy)
    with pytest.raises(Misplaced, match=r"all of its files \(2 of its folders are missing\)"):
        connect(uri(copy))
    assert contents(copy) == before


def test_files_that_cannot_be_found_are_not_forgotten(store: Path, tmp_path: Path) -> None:
    """They may be on a disk that is not mounted."""
    new = store.rename(tmp_path / "new")
    shutil.rmtree(new / "mlruns")
    named = locations(new)
    with pytest.raises(Misplaced, match=f"which cannot be found: move them to {new}/mlruns/1, or"):
        connect(uri(new))
    assert locations(new) == named
    (new / "mlruns" / "1").mkdir(parents=True)  # as the message says
    connect(uri(new))
    assert all(place.startswith(str(new)) for place in locations(new))


def test_a_copy_of_another_users_folder_is_relocated(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store, copy)
    store.chmod(0)
    with without_root_rights():
        connect(uri(copy))
    store.chmod(0o700)
    assert all(place.startswith(str(copy)) for place in locations(copy))


def elsewhere(store: Path, tmp_path: Path) -> Path:
    """Move a database only, whose files are its own still; return its new folder."""
    database = tmp_path / "elsewhere"
    database.mkdir()
    shutil.move(store / "mlflow.db", database)
    return database


def test_files_outside_of_the_folder_are_used_but_never_deleted(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = elsewhere(store, tmp_path)
    client = connect(uri(folder))
    assert f"are outside of its folder and are never deleted: {store}/mlruns/1" in (
        capsys.readouterr().err
    )
    [model] = models(client)
    assert model.files.num_bytes() == len("model")
    before = contents(store)
    model.delete()
    assert contents(store) == before


@pytest.mark.parametrize("kind", ["another database", "a copy of it", "a link", "chosen by a user"])
def test_shared_files_are_not_deleted(store: Path, tmp_path: Path, kind: str) -> None:
    client = connect(uri(store))
    [model] = client.search_logged_models(["1"])
    place = model.artifact_location
    match kind:
        case "another database":
            shutil.copy(store / "mlflow.db", store / "backup-2026")
        case "a copy of it":  # which still names the files of the original
            shutil.copy(store / "mlflow.db", store / "backup.db")
            store = store.rename(tmp_path / "new")
            client = connect(uri(store))
            place = place.replace("original", "new")
        case "a link":
            real = (store / "mlruns").rename(tmp_path / "disk")
            (store / "mlruns").symlink_to(real)
        case "chosen by a user":
            shutil.move(place, tmp_path / "chosen")
            place = str(tmp_path / "chosen")
    StoredModel(client, model.model_id, place).delete()
    assert (Path(place) / "MLmodel").exists()


def test_files_of_the_store_are_deleted_beside_other_databases(store: Path) -> None:
    """Such as Optuna's, and a second store in the same folder."""
    shutil.copy(store / "mlflow.db", store / "second.db")
    with closing(sqlite3.connect(store / "second.db")) as other, other:
        other.execute("DELETE FROM logged_models")
    (store / "zeros").write_bytes(bytes(512))
    client = connect(uri(store))
    [model] = client.search_logged_models(["1"])
    StoredModel(client, model.model_id, model.artifact_location).delete()
    assert not Path(model.artifact_location).exists()


def test_a_moved_outbox_is_relocated(tmp_path: Path, store_template: Path) -> None:
    outbox = Outbox("http://server", tmp_path / "outbox")
    outbox.open()
    shutil.copy(store_template, outbox.folder)
    client = connect(outbox.uri)
    outbox.experiment(client, "tiny")
    add_model(client)
    moved = Outbox("http://server", outbox.folder.rename(tmp_path / "moved"))
    assert [model.files.num_bytes() for model in models(connect(moved.uri))] == [len("model")]
    assert all(place.startswith(str(moved.folder)) for place in locations(moved.folder))


def test_names_that_mean_something_in_an_address(tmp_path: Path, store_template: Path) -> None:
    folder = tmp_path / "50%25 ü#1"
    folder.mkdir()
    shutil.copy(store_template, folder)
    client = connect(uri(folder))
    mlflow_experiment(client, "tiny")
    run = client.create_run("1")
    client.log_text(run.info.run_id, "text", "note.txt")
    assert (folder / "mlruns" / "1" / run.info.run_id / "artifacts" / "note.txt").is_file()
    new = folder.rename(tmp_path / "new")
    connect(uri(new))
    assert all(place.startswith(f"{new}/mlruns/") for place in locations(new))


@pytest.mark.usefixtures("swept")
def test_a_sweep_and_its_cleaning_in_a_copy_leave_the_original_alone(
    bench: Bench, images: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = contents(tmp_path)
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(tmp_path, copy, dirs_exist_ok=True)
    reader = connect_to_read(uri(copy))
    [*_, confirmation] = (record.run_id for record in bench.records("confirmation"))
    (tmp_path / "mlruns").rename(tmp_path / "away")
    assert len(read_predictions(reader, confirmation).label)  # of the copy
    (tmp_path / "away").rename(tmp_path / "mlruns")
    more = 'trials = 4\nsampler = "random"\npruner = "none"\nbatch_size = [8, 16]'
    changed = tiny.definition(images, losses="mse = {}", search=more, top='keep_models = "best"')
    with chdir(copy):
        Bench(uri(copy), uri(copy, "optuna.db")).run(changed)
        collected = model_gc.collect("tiny", uri(copy), dry_run=False)
    assert (collected.models > 0, collected.kept) == (True, 0)
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("swept")
def test_a_store_that_may_only_be_read(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = tmp_path_factory.mktemp("theirs")
    before = contents(tmp_path)
    shutil.copytree(tmp_path / "mlruns", theirs / "mlruns")
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(tmp_path / name, theirs)  # without the log of a process that has it open
    for path in (theirs, *theirs.rglob("*")):
        path.chmod(0o500 if path.is_dir() else 0o400)
    with without_root_rights():
        results = read_results("tiny", uri(theirs))
        assert [row.rank for row in results.ranking().combinations] == [1, 2]
        assert all(results.evidence().predictions.values())
        assert model_gc.collect("tiny", uri(theirs), dry_run=True).models > 0
        findings = doctor.visit(None, uri(theirs), uri(theirs, "optuna.db"), dry_run=True)
        assert findings == {"tiny": []}
        with pytest.raises(Unavailable, match=r"cannot be written: there is no write access"):
            connect(uri(theirs))
    assert contents(theirs) == {name: before[name] for name in contents(theirs)}
    for path in (theirs, *theirs.rglob("*")):
        path.chmod(0o700)
