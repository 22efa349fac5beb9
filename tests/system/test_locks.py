from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from cifar_exp.system import locks, urls
from cifar_exp.system.locks import InUse, Units

STORES = ("sqlite:////a/mlflow.db", "sqlite:////a/optuna.db")
# Holds a sweep and a unit of work, says so, and then waits for ever.
HOLDER = """
import sys
from cifar_exp.system import locks
with holds.alone(sys.argv[1:], "tiny", definition="d"):
    with holds.Units(store=sys.argv[1], experiment="tiny").held("id", 2) as mine:
        print(mine, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path))


@pytest.fixture
def other() -> subprocess.Popen[str]:
    """Another process that holds the sweep `tiny`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *STORES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_process_that_only_looks_keeps_nobody_out() -> None:
    looks = FileLock(locks._sweep_locks(STORES, "tiny")[1], thread_local=False)
    looks.acquire()
    threading.Timer(0.1, looks.release).start()
    with locks.alone(STORES, "tiny"):
        assert not locks.is_free(STORES, "tiny")


def test_the_second_is_told_who_holds_the_sweep(other: subprocess.Popen[str]) -> None:
    units = Units(store=STORES[0], experiment="tiny")
    try:
        with pytest.raises(InUse) as told, locks.alone(STORES, "tiny"):
            pass
        assert f"in use by process {other.pid} on " in str(told.value)
        assert str(told.value).endswith("wait for it, or work on it too with --join")
        assert not locks.is_free(STORES, "tiny")
        held = locks.holder(STORES, "tiny")
        assert held is not None
        assert (held.pid, held.definition) == (other.pid, "d")
        with units.held("id", 2) as mine:
            assert not mine
        with units.held("id", 1) as mine, units.held("id") as tuning:
            assert mine
            assert tuning
        with locks.alone(STORES, "another"):  # another experiment in the same stores
            pass
    finally:
        kill(other)


def test_what_a_killed_process_held_is_free_whatever_its_note_says(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    kill(other)
    notes = list(tmp_path.rglob("*.note"))
    assert len(notes) == 2
    for note in notes:  # its number is now that of a living process
        note.write_text(json.dumps({**json.loads(note.read_text()), "pid": os.getpid()}))
    assert locks.is_free(STORES, "tiny")
    assert locks.holder(STORES, "tiny") is None
    assert Units(store=STORES[0], experiment="tiny").is_free("id", 2)
    with locks.alone(STORES, "tiny"):
        held = locks.holder(STORES, "tiny")
    assert held is not None
    assert held.definition == ""
    assert not list(tmp_path.rglob("*.note"))


def test_two_schemas_of_one_database_do_not_keep_each_other_out() -> None:
    stores = [f"postgresql://host/db?options=-csearch_path={name}" for name in ("a", "b")]
    with locks.alone(stores, "tiny"):
        assert not locks.is_free(stores, "tiny")
    assert locks.is_free(stores, "tiny")


def test_a_torn_note_names_nobody(tmp_path: Path) -> None:
    with locks.alone(STORES, "tiny"):
        for note in tmp_path.rglob("*.note"):
            note.write_text('{"pid": 1')
        with pytest.raises(InUse, match="in use by another process; "), locks.alone(STORES, "tiny"):
            pass


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("sqlite:///mlflow.db", "sqlite:///{here}/mlflow.db", True),
        ("sqlite:///mlflow.db", "sqlite:///{here}/../x/mlflow.db?timeout=5", True),
        ("sqlite:///mlflow.db", "sqlite:////elsewhere/mlflow.db", False),
        ("http://u:p@host:5000/", "http://host:5000", True),
        ("postgresql+psycopg://u:secret@host/db", "postgresql://v@host/db", True),
        ("postgresql://host/db", "postgresql://host/db2", False),
    ],
)
def test_a_store_has_one_name_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str, same: bool
) -> None:
    here = tmp_path / "x"
    here.mkdir()
    monkeypatch.chdir(here)
    names = [urls.store_name(url.format(here=here)) for url in (first, second)]
    assert (names[0] == names[1]) == same
    assert not any("secret" in name for name in names)


def test_a_holder_says_the_day_only_where_it_is_another_one() -> None:
    now = datetime.now().replace(microsecond=0)
    for since, text in (
        (now, f"since {now:%H:%M}"),
        (now - timedelta(days=2), f"since {now - timedelta(days=2):%Y-%m-%d %H:%M}"),
    ):
        held = locks.Holder(pid=7, host="h", since=since.isoformat(), definition="")
        assert str(held) == f"process 7 on h {text}"
