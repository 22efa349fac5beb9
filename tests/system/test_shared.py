"""A cache that several users share."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.errors import Unavailable
from cifar_exp.system import locks, paths
from cifar_exp.system.shared import shared_file, shared_folder
from tests import tiny

FIRST, SECOND, TEAM = 12345, 12346, 12347
STORES = ("sqlite:////a/mlflow.db",)
only_root = pytest.mark.skipif(
    sys.platform == "win32" or os.getuid() != 0, reason="only root can act as two users"
)


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    ("around", "folder", "file"),
    [
        (0o755, 0o755, 0o644),
        (0o700, 0o755, 0o644),
        (0o775, 0o775, 0o664),
        (0o2775, 0o2775, 0o664),
        (0o777, 0o777, 0o666),
        (0o1777, 0o777, 0o666),
    ],
)
def test_access_is_that_to_the_folder_around(
    tmp_path: Path, around: int, folder: int, file: int
) -> None:
    tmp_path.chmod(around)
    modes = [shared_folder(tmp_path / "a").stat(), shared_file(tmp_path / "b").stat()]
    assert [mode.st_mode & 0o7777 for mode in modes] == [folder, file]
    assert modes[0].st_gid == tmp_path.stat().st_gid


@contextmanager
def user(number: int) -> Iterator[None]:
    """Act as a user of the team; libraries must have been imported before."""
    groups = os.getgroups()
    os.setgroups([TEAM])
    os.setresgid(number, number, 0)
    os.setresuid(number, number, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache of the first user, which the team can read; `own` is that of the second user."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for folder, owner in (("cache", FIRST), ("own", SECOND)):
            (root / folder).mkdir(mode=0o755)
            os.chown(root / folder, owner, TEAM)
        tiny.write_images(root / "images")  # not digits: the packages may be in a private folder
        monkeypatch.setenv("CIFAR_EXP_CACHE", str(root / "cache"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "own"))
        yield root / "cache"


def load_images(cache: Path) -> Dataset:
    """Load images that every user can read."""
    return tiny.dataset(cache.parent / "images")


def lock_and_load(cache: Path) -> Path:
    """Use the cache like a sweep; return the folder of the data."""
    with locks.alone(STORES, "tiny"), locks.writing("run"):
        data = load_images(cache).path
    (paths.checkpoints() / str(os.getuid())).touch()
    return data


@only_root
@pytest.mark.parametrize("mode", [0o2775, 0o775, 0o1777])
def test_users_share_locks_data_and_checkpoints(cache: Path, mode: int) -> None:
    load_images(cache)  # it imports libraries
    shutil.rmtree(cache)
    cache.mkdir()
    os.chown(cache, 0, TEAM)
    cache.chmod(mode)
    for number in (FIRST, SECOND, FIRST):
        with user(number):
            data = lock_and_load(cache)
            assert paths.lock_file("x").parent == cache / "locks"
            if mode == 0o1777:  # only their owner may replace the data
                continue
            shutil.rmtree(data)
            lock_and_load(cache)
    assert {path.name for path in paths.checkpoints().iterdir()} == {str(FIRST), str(SECOND)}


@only_root
def test_a_user_who_can_only_read_the_cache_has_own_locks_and_checkpoints(cache: Path) -> None:
    load_images(cache)
    shutil.rmtree(cache)
    cache.mkdir()
    os.chown(cache, FIRST, TEAM)
    with user(FIRST):
        data = lock_and_load(cache)
    with user(SECOND):
        assert lock_and_load(cache) == data
    own = cache.parent / "own" / "cifar_exp"
    assert (own / "checkpoints" / str(SECOND)).exists()
    assert list((own / "locks").glob("*.lock"))


@only_root
def test_a_user_without_any_cache_gets_one_sentence(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with user(SECOND), pytest.raises(Unavailable, match=r"no write access to \S+/locks: give"):
        paths.lock_file("x")


@only_root
def test_a_lock_that_another_user_has_kept_is_named(cache: Path) -> None:
    cache.chmod(0o2775)
    with user(FIRST):
        paths.lock_file("x").chmod(0o600)
    with user(SECOND), pytest.raises(Unavailable, match=r"x?\.lock belongs to another user: "):
        paths.lock_file("x")


@only_root
def test_the_note_of_a_killed_process_of_another_user_is_replaced(cache: Path) -> None:
    cache.chmod(0o2775)
    with user(FIRST), locks.alone(STORES, "tiny"):
        [note] = cache.rglob("*.note")
        text = note.read_text()
    with user(FIRST):
        note.write_text(text)
    with user(SECOND), locks.alone(STORES, "tiny"):
        assert note.stat().st_uid == SECOND


@only_root
def test_access_is_not_given_to_another_group(cache: Path) -> None:
    """A user who is not in the group of the cache cannot give a file to it."""
    cache.chmod(0o777)
    os.chown(cache, FIRST, 1)
    with user(SECOND):
        mode = shared_file(cache / "file").stat().st_mode
    assert mode & 0o777 == 0o644
