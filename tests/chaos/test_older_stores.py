"""Databases that an older MLflow or Optuna has made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cifar_exp import study
from cifar_exp.errors import Unavailable
from tests import tiny
from tests.bench import Bench

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
