"""The MLflow database of a sweep, locked by another program for longer than MLflow waits."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests import tiny
from tests.chaos.test_outage import Command
from tests.content import content

pytestmark = pytest.mark.chaos

SECONDS_LOCKED = 30


def test_a_database_locked_for_half_a_minute_loses_no_training(
    tmp_path: Path, images: Path
) -> None:
    (tmp_path / "tiny.toml").write_text(tiny.definition(images, epochs="5"))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    words = ("run", "tiny.toml", "--workers", "1", "--threads", "1", "--tracking-uri", uri)
    sweep = Command(*words, folder=tmp_path)
    sweep.wait_for("[2/10]")
    with closing(sqlite3.connect(tmp_path / "mlflow.db", timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        threading.Event().wait(SECONDS_LOCKED)  # the time of the lock itself
        assert sweep.process.poll() is None
        other.rollback()
    assert sweep.end() == 0
    finished = [run for run in content(uri) if run["status"] == "FINISHED"]
    trainings = [run for run in finished if run["tags"]["kind"] in ("trial", "confirmation")]
    assert len(trainings) == 10
    for run in trainings:
        assert [step for step, _ in run["points"]["val/accuracy"]] == [1, 2, 3, 4, 5]
