"""Databases of an older MLflow or Optuna, and a sweep started by an older version."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cifar_exp import study
from cifar_exp.errors import Unavailable
from cifar_exp.records import RunRecord
from cifar_exp.tracking.store.relocation import relocate
from tests import tiny
from tests.bench import Bench, studies

OLDER = {
    "mlflow.db": "UPDATE alembic_version SET version_num = '451aebb31d03'",
    "optuna.db": "UPDATE alembic_version SET version_num = 'v2.6.0.a'",
}
UPGRADES = {"mlflow.db": "mlflow db upgrade", "optuna.db": "optuna storage upgrade"}


@pytest.mark.parametrize("name", OLDER)
def test_an_older_database_is_reported_and_not_changed(
    bench: Bench, images: Path, tmp_path: Path, name: str
) -> None:
    study.connect(bench.storage_url)
    relocate(tmp_path / "mlflow.db")  # it is a copy
    with closing(sqlite3.connect(tmp_path / name)) as database:
        database.execute(OLDER[name])
        database.commit()
    before = [contents(tmp_path / each) for each in OLDER]
    with pytest.raises(Unavailable, match=UPGRADES[name]):
        bench.run(tiny.definition(images))
    assert [contents(tmp_path / each) for each in OLDER] == before


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


SWEEP = {
    "epochs": "3",
    "search": 'trials = 6\nsampler = "tpe"\npruner = "median"\nbatch_size = [8, 16]',
}
"""With so few trials TPE samples at random, so settings do not depend on rounding."""


def restore(folder: Path) -> None:
    """Restore the databases of the older version from SQL; `{folder}` stands for its folder."""
    for name in ("mlflow", "optuna"):
        (folder / f"{name}.db").unlink(missing_ok=True)
        dump = gzip.decompress((Path(__file__).parent / "older" / f"{name}.sql.gz").read_bytes())
        with closing(sqlite3.connect(folder / f"{name}.db")) as database:
            database.executescript(dump.decode().replace("{folder}", str(folder)))


def approximate(results: dict[str, Any]) -> Any:
    """Return results of trainings, to compare them with another processor within rounding."""
    match results:
        case float():
            return pytest.approx(results, rel=1e-3)
        case dict():
            return {key: approximate(value) for key, value in results.items()}
        case list() | tuple():
            return type(results)(map(approximate, results))
    return results


def known(results: dict[str, Any]) -> dict[str, Any]:
    """Leave out the params that the older version did not record."""
    return {
        name: {**training, "params": {**training["params"], "classes": None}}
        for name, training in results.items()
    }


def measured(record: RunRecord) -> tuple[Any, ...]:
    added = {"log10_lr"}  # at the end of a sweep, for the views in MLflow
    metrics = {name: value for name, value in record.metrics.items() if name not in added}
    return record.state, record.params, metrics


def test_a_sweep_started_by_an_older_version_is_resumed(
    bench: Bench, other_bench: Bench, images: Path, tmp_path: Path
) -> None:
    """It was killed in the second epoch of `mse+sgd #4`, which is running in both of its stores.

    It may have run on a processor with other rounding.
    """
    restore(tmp_path)
    finished = {record.run_id: measured(record) for record in bench.records() if record.finished}
    [begun] = [r for r in bench.records("trial") if not r.finished]
    assert (len(finished), begun.name) == (10, "mse+sgd #4")
    definition = tiny.definition(images, **SWEEP)
    bench.run(definition)
    after = {record.run_id: record for record in bench.records()}
    assert {run_id: measured(after[run_id]) for run_id in finished} == finished
    assert after[begun.run_id].finished
    assert len([event for event in bench.events if event.kept]) == 10
    other_bench.run(definition)
    assert known(bench.results()) == approximate(known(other_bench.results()))
    stored = {r.name: (r.state, r.metrics.get("val_accuracy")) for r in bench.records("trial")}
    for study_ in studies(bench):
        combination = study_.study_name.removeprefix("tiny/").split()[0]
        in_study = {f"{combination} #{t.number}": (t.state.name, t.value) for t in study_.trials}
        assert in_study.items() <= stored.items()
        assert len(in_study) == 6
