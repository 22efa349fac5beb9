from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cifar_exp.system import temporary
from cifar_exp.system.temporary import remove_abandoned, temporary_folder

OWNER = """
import sys, time
from cifar_exp.system.temporary import temporary_folder
with temporary_folder() as folder:
    (folder / "network.pth").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all temporary folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def owner() -> tuple[subprocess.Popen[str], Path]:
    """Start a process that has a temporary folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().rstrip())


def test_a_folder_exists_until_the_end(place: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == place
        (folder / "network.pth").touch()
        remove_abandoned()
        assert (folder / "network.pth").exists()
    assert not list(place.iterdir())


def test_the_folder_of_a_killed_process_is_removed_but_not_that_of_a_live_one(
    place: Path,
) -> None:
    (killed, abandoned), (living, used) = owner(), owner()
    remove_abandoned()
    assert sorted(place.iterdir()) == sorted((abandoned, used))
    killed.kill()
    killed.wait()
    remove_abandoned()
    assert list(place.iterdir()) == [used]
    assert (used / "network.pth").exists()
    living.communicate("")
    assert not list(place.iterdir())


def test_a_folder_being_created_or_of_an_older_version_is_kept(place: Path) -> None:
    """Its lock may not be acquired yet."""
    folder = place / f"{temporary.PREFIX}new"
    folder.mkdir()
    (folder / temporary.LOCK).touch()
    remove_abandoned()
    assert (folder / temporary.LOCK).exists()
    (folder / temporary.LOCKED).touch()
    remove_abandoned()
    assert not folder.exists()


def test_a_link_and_a_folder_of_another_user_are_kept(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place / "mine"
    folder.mkdir()
    (folder / temporary.LOCKED).touch()
    (place / f"{temporary.PREFIX}link").symlink_to(folder)
    remove_abandoned()
    assert (folder / temporary.LOCKED).exists()
    folder = folder.rename(place / f"{temporary.PREFIX}theirs")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    remove_abandoned()
    assert (folder / temporary.LOCKED).exists()
