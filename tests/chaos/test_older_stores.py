"""Databases of an older MLflow or Optuna, and a sweep that an older version has begun."""

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
from tests import tiny
from tests.bench import Bench, studies

OLDER = {
    "mlflow.db": "UPDATE alembic_version SET version_num = '451aebb31d03'",
    "optuna.db": "UPDATE alembic_version SET version_num = 'v2.6.0.a'",
}
UPGRADES = {"mlflow.db": "mlflow db upgrade", "optuna.db": "optuna storage upgrade"}


@pytest.mark.parametrize("name", OLDER)
def test_an_older_database_is_told_of_and_left_alone(
    bench: Bench, images: Path, tmp_path: Path, name: str
) -> None:
    study.connect(bench.storage_url)
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
"""With so few trials TPE samples at random: no setting depends on how a processor rounds."""


def restore(folder: Path) -> None:
    """Make the databases of the older version, as SQL with `{folder}` for the folder it ran in."""
    for name in ("mlflow", "optuna"):
        (folder / f"{name}.db").unlink(missing_ok=True)
        dump = gzip.decompress((Path(__file__).parent / "older" / f"{name}.sql.gz").read_bytes())
        with closing(sqlite3.connect(folder / f"{name}.db")) as database:
            database.executescript(dump.decode().replace("{folder}", str(folder)))


def approximate(results: dict[str, Any]) -> Any:
    """Results of trainings on another processor: equal but for rounding."""
    match results:
        case float():
            return pytest.approx(results, rel=1e-3)
        case dict():
            return {key: approximate(value) for key, value in results.items()}
        case list() | tuple():
            return type(results)(map(approximate, results))
    return results


def measured(record: RunRecord) -> tuple[Any, ...]:
    return record.state, record.params, record.metrics


def test_a_sweep_that_the_version_before_trainers_has_begun_is_gone_on_with(
    bench: Bench, other_bench: Bench, images: Path, tmp_path: Path
) -> None:
    """It was killed in the second epoch of `mse+sgd #4`, which both of its stores show as running.

    It ran on another processor than this one, perhaps, which rounds otherwise.
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
    assert bench.results() == approximate(other_bench.results())
    held = {r.name: (r.state, r.metrics.get("val_accuracy")) for r in bench.records("trial")}
    for study_ in studies(bench):
        combination = study_.study_name.removeprefix("tiny/").split()[0]
        told = {f"{combination} #{t.number}": (t.state.name, t.value) for t in study_.trials}
        assert told.items() <= held.items()
        assert len(told) == 6
