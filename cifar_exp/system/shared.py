"""Folders and files that all users of a folder may use, such as a group's cache.

With the usual umask of 022, only the user who creates a folder could write to it.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

GROUP, ALL = 0o070, 0o007
NOT_EXECUTABLE = 0o666


def shared_folder(path: Path) -> Path:
    """Create a folder if it is missing, for the users who can write to the one around it.

    Raises:
        OSError: It cannot be created.
    """
    path.mkdir(exist_ok=True)
    share(path)
    return path


def shared_file(path: Path) -> Path:
    """Create an empty file if it is missing, for the users who can write to its folder.

    Raises:
        OSError: It cannot be created.
    """
    if not path.exists():
        path.touch()
    share(path)
    return path


def share(path: Path) -> None:
    """Give group and others the access that they have to the folder around; only its owner can."""
    if sys.platform == "win32":
        return
    around = path.parent.stat()
    granted = (GROUP if around.st_mode & stat.S_IWGRP else 0) | (
        ALL if around.st_mode & stat.S_IWOTH else 0
    )
    if path.is_file():
        granted &= NOT_EXECUTABLE
    with suppress(OSError):  # not all file systems can set a group
        if granted & GROUP and path.stat().st_gid != around.st_gid:
            os.chown(path, -1, around.st_gid)
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode | granted != mode:
            path.chmod(mode | granted)
