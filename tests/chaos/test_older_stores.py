"""Databases of an older MLflow or Optuna, and a sweep that an older version has begun."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cifar_exp import study
from cifar_exp.errors import Unavailable
from tests import tiny
from tests.bench import Bench, scores, studies

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


def test_a_sweep_that_the_version_before_trainers_has_begun_is_gone_on_with(
    bench: Bench, other_bench: Bench, images: Path, tmp_path: Path
) -> None:
    """It was killed in the second epoch of `mse+sgd #4`, which both of its stores show as running.

    `older/` holds its databases as SQL, with `{folder}` for the folder it ran in.
    """
    for name in ("mlflow", "optuna"):
        (tmp_path / f"{name}.db").unlink(missing_ok=True)
        dump = gzip.decompress((Path(__file__).parent / "older" / f"{name}.sql.gz").read_bytes())
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as database:
            database.executescript(dump.decode().replace("{folder}", str(tmp_path)))
    finished = {record.run_id for record in bench.records() if record.finished}
    [begun] = [r for r in bench.records("trial") if not r.finished]
    assert (len(finished), begun.name) == (10, "mse+sgd #4")
    definition = tiny.definition(images, **SWEEP)
    ranking = bench.run(definition)
    assert finished <= {record.run_id for record in bench.records()}
    assert begun.run_id in {r.run_id for r in bench.records("trial") if r.finished}
    assert len([event for event in bench.events if event.kept]) == 10
    assert scores(ranking) == scores(other_bench.run(definition))
    assert bench.results() == other_bench.results()
    held, expected = (
        {
            s.study_name: [(t.state, t.value, t.params, t.intermediate_values) for t in s.trials]
            for s in studies(one)
        }
        for one in (bench, other_bench)
    )
    assert held == expected
