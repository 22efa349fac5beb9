from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cifar_exp.system import locks, urls
from cifar_exp.system.locks import InUse

STORES = ("sqlite:////a/mlflow.db", "sqlite:////a/optuna.db")
# Locks a sweep and a run, prints a line, and then waits.
HOLDER = """
import sys
from cifar_exp.system import locks
with locks.alone(sys.argv[1:], "tiny"), locks.writing("run"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path))


@pytest.fixture
def other() -> subprocess.Popen[str]:
    """Another process that has locked the sweep `tiny`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *STORES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_second_process_gets_the_owner_of_the_lock(other: subprocess.Popen[str]) -> None:
    try:
        with pytest.raises(InUse) as raised, locks.alone(STORES, "tiny"):
            pass
        assert f"in use by process {other.pid} on " in str(raised.value)
        assert str(raised.value).endswith("; wait for it")
        assert locks.is_held("run")
        assert not locks.is_held("another run")
        with locks.alone(STORES, "another"):  # another experiment in the same stores
            pass
        with pytest.raises(InUse), locks.alone([STORES[0], "sqlite:////b/optuna.db"], "tiny"):
            pass  # one of the stores is enough
    finally:
        kill(other)


def test_the_locks_of_a_killed_process_are_free_despite_its_note(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    kill(other)
    notes = list(tmp_path.rglob("*.note"))
    assert len(notes) == 2
    for note in notes:  # its process id is now that of a live process
        note.write_text(json.dumps({**json.loads(note.read_text()), "pid": os.getpid()}))
    assert not locks.is_held("run")
    with locks.alone(STORES, "tiny"):
        contents = [json.loads(note.read_text()) for note in tmp_path.rglob("*.note")]
        assert [note["pid"] for note in contents] == [os.getpid()] * 2
    assert not list(tmp_path.rglob("*.note"))


def test_the_lock_of_a_run_is_removed_afterwards(tmp_path: Path) -> None:
    with locks.writing("run"):
        assert locks.is_held("run")
        assert len(list(tmp_path.rglob("*.lock"))) == 1
    assert not list(tmp_path.rglob("*.lock"))


def test_two_schemas_of_one_database_do_not_lock_each_other() -> None:
    stores = [f"postgresql://host/db?options=-csearch_path={name}" for name in ("a", "b")]
    with locks.alone(stores, "tiny"), pytest.raises(InUse), locks.alone(stores[:1], "tiny"):
        pass
    with locks.alone(stores[:1], "tiny"):
        pass


def test_an_incomplete_note_names_no_process(tmp_path: Path) -> None:
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


def test_the_text_of_a_holder_has_the_date_only_if_it_is_not_today() -> None:
    now = datetime.now().replace(microsecond=0)
    for since, text in (
        (now, f"since {now:%H:%M}"),
        (now - timedelta(days=2), f"since {now - timedelta(days=2):%Y-%m-%d %H:%M}"),
    ):
        holder = locks.Holder(pid=7, host="h", since=since.isoformat())
        assert str(holder) == f"process 7 on h {text}"
