from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.errors import BadInput
from cifar_exp.maintenance import model_gc
from cifar_exp.maintenance.model_gc import Collected
from cifar_exp.records import RunRecord
from cifar_exp.report.text.formats import to_json
from cifar_exp.sweep import single
from cifar_exp.sweep.results import Results
from cifar_exp.system import locks
from cifar_exp.tracking import connect, read_records, stored_models
from tests import records, tiny
from tests.bench import Bench, single_training


def ranking_bytes(bench: Bench) -> str:
    client = connect(bench.tracking_uri)
    return to_json(Results(client, read_records(client, "tiny")).ranking())


def with_models(bench: Bench) -> set[str]:
    """The runs with a stored model and its files, without registered models."""
    client = connect(bench.tracking_uri)
    found = set()
    for record in bench.records():
        for model in stored_models(client, client.get_run(record.run_id)):
            assert model.files.num_bytes() > 0
            found.add(record.run_id)
    return found


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def written(record: RunRecord) -> tuple[object, ...]:
    return (record.run_id, record.status, record.params, record.metrics, record.tags)


def test_only_models_of_the_ranking_are_kept(bench: Bench, images: Path, tmp_path: Path) -> None:
    bench.run(tiny.definition(images, epochs="2"))  # an older sweep with other combinations
    bench.run(tiny.definition(images, epochs="1"))
    client = connect(bench.tracking_uri)
    [trial, *_] = [r for r in bench.records("trial") if r.params["epochs"] == "2"]
    client.log_text(trial.run_id, "a note", "note.txt")
    client.delete_run(trial.run_id)
    before, runs_before = ranking_bytes(bench), list(map(written, bench.records()))
    files, rows = tmp_path / "mlruns", tmp_path / "mlflow.db"
    stored = folder_bytes(files)

    dry = model_gc.collect("tiny", bench.tracking_uri, dry_run=True)
    assert folder_bytes(files) == stored
    done = model_gc.collect("tiny", bench.tracking_uri, dry_run=False)
    assert done == dry
    # 2 sweeps x 2 combinations x 5 trainings, of which 2 x (1 trial + 2 confirmations) are kept,
    # and the registered champion of the older sweep
    assert (done.models, done.runs) == (20 - 6 - 1, 1)
    assert stored - folder_bytes(files) == done.num_bytes
    assert done.num_bytes > 13 * 10_000
    assert rows.exists()

    newest = [r for r in bench.records() if r.params.get("epochs") == "1"]
    confirmations = [r for r in newest if r.kind == "confirmation"]
    best = {
        r.run_id
        for r in newest
        for c in confirmations
        if r.kind == "trial" and (r.combination, r.number) == (c.combination, c.confirms)
    }
    champions = {r.tags["champion"] for r in bench.records("sweep")}
    assert with_models(bench) == best | {r.run_id for r in confirmations} - champions
    assert mlflow.pytorch.load_model("models:/tiny/1") is not None
    assert ranking_bytes(bench) == before
    assert list(map(written, bench.records())) == runs_before
    nothing = Collected(models=0, runs=0, num_bytes=0)
    assert model_gc.collect("tiny", bench.tracking_uri, dry_run=False) == nothing


def test_the_models_of_every_study_are_kept() -> None:
    """The best trial and the confirmations of each, without studies that are not counted."""
    accuracies = {1: (0.5, 0.6), 2: (0.7, 0.4), 3: (0.9, 0.9)}
    trainings = [
        replace(run, study=study, run_id=f"{run.run_id} of {study}")
        for study, values in accuracies.items()
        for run in (
            *(records.trial("a+b", number, value) for number, value in enumerate(values)),
            *(records.confirmation("a+b", n, 0.5, confirms=c) for n in (1, 2) for c in (0, 1)),
        )
    ]
    sweep = records.sweep(trials=2, seeds=2, studies="2")
    assert model_gc.used([sweep, records.combination("a+b"), *trainings]) == {
        "a+b #1 of 1", "a+b seed 1 of 1 of 1", "a+b seed 2 of 1 of 1",
        "a+b #0 of 2", "a+b seed 1 of 0 of 2", "a+b seed 2 of 0 of 2",
    }  # fmt: skip


def test_a_model_in_the_registry_is_kept(bench: Bench, images: Path) -> None:
    bench.run(tiny.definition(images, epochs="1", losses="mse = {}"))
    client = connect(bench.tracking_uri)
    [unused, *_] = [
        r for r in bench.records("trial") if r.run_id not in model_gc.used(bench.records())
    ]
    outputs = client.get_run(unused.run_id).outputs
    assert outputs is not None
    mlflow.register_model(f"models:/{outputs.model_outputs[0].model_id}", "chosen")
    assert model_gc.collect("tiny", bench.tracking_uri, dry_run=False).models == 1  # the other one
    assert mlflow.pytorch.load_model("models:/chosen/1") is not None


def test_models_of_single_trainings_are_deleted_once_they_have_ended(
    bench: Bench, data: Dataset, images: Path
) -> None:
    request = single_training(images, bench.tracking_uri, epochs=1)
    single.run(request, data, lambda _: None)
    [record] = bench.records()
    assert with_models(bench) == {record.run_id}
    bench.client.update_run(record.run_id, status="RUNNING")
    assert model_gc.collect("tiny", bench.tracking_uri, dry_run=False).models == 0
    bench.client.update_run(record.run_id, status="FINISHED")
    assert model_gc.collect("tiny", bench.tracking_uri, dry_run=True).models == 1
    assert with_models(bench) == {record.run_id}
    assert model_gc.collect("tiny", bench.tracking_uri, dry_run=False).models == 1
    assert with_models(bench) == set()
    assert bench.records()[0].metrics == record.metrics


def test_nothing_is_deleted_while_a_sweep_runs_or_if_there_is_none(
    bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="holds no sweep of experiment 'tiny'"):
        model_gc.collect("tiny", bench.tracking_uri, dry_run=False)
    with pytest.raises(BadInput, match="there is no"):
        model_gc.collect("tiny", f"sqlite:///{tmp_path / 'none.db'}", dry_run=False)
    stores = (bench.tracking_uri, bench.storage_url)
    with locks.alone(stores, "tiny"), pytest.raises(locks.InUse, match="in use by process"):
        model_gc.collect("tiny", bench.tracking_uri, dry_run=False)
