"""Temporary folders, which a later process removes if their owner was killed.

The owner holds a lock on a file in its folder. The operating system releases it when the owner ends
in any way, so a folder is abandoned if its lock is free. This needs no clock or process number.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

PREFIX = "cifar_exp-"
LOCK = "owner.lock"
LOCKED = "locked"
"""A file that is created after the lock was acquired; without it a folder is never removed."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Create a temporary folder, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with FileLock(folder / LOCK):
            (folder / LOCKED).touch()
            yield folder


def remove_abandoned() -> None:
    """Remove the temporary folders of this user whose owners have ended without removing them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # its lock is held, or another process removes it
            if _is_own(folder) and (folder / LOCKED).exists():
                with FileLock(folder / LOCK).acquire(timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_own(folder: Path) -> bool:
    """Return whether this is a folder of this user, and not a link that another user has made."""
    found = folder.lstat()
    owner = os.getuid() if hasattr(os, "getuid") else found.st_uid  # not on Windows
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner
