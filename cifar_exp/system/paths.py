"""Folders that the package writes to, in addition to the current folder."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from cifar_exp.errors import Unavailable
from cifar_exp.system.shared import shared_file, shared_folder

CACHE_VARIABLE = "CIFAR_EXP_CACHE"
OUTBOX_VARIABLE = "CIFAR_EXP_OUTBOX"


def require_home() -> None:
    """Use the cache folder as the home of a user who has none, as in a container.

    MLflow, matplotlib and torch need a home folder.

    Raises:
        Unavailable: CIFAR_EXP_CACHE is not set.
    """
    try:
        Path.home()
    except RuntimeError:
        chosen = os.environ.get(CACHE_VARIABLE)
        if not chosen:
            raise Unavailable(
                "this user has no home folder: set HOME, or CIFAR_EXP_CACHE, to a folder that this "
                "user can write to"
            ) from None
        os.environ["HOME"] = str(Path(chosen).absolute())


def cache() -> Path:
    """Return the cache folder of data sets and locks: CIFAR_EXP_CACHE, or in the user's cache."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).absolute() if chosen else _own_cache()


def checkpoints() -> Path:
    """Return the folder of checkpoints."""
    return _writable("checkpoints") or cache() / "checkpoints"


def checkpoint_name(*training: str | int | None) -> str:
    """Return the name of a checkpoint, a hash of store, study, kind, number and setting."""
    return hashlib.sha256(" ".join(map(str, training)).encode()).hexdigest()[:32]


def outboxes() -> Path:
    """Return the folder of outboxes: CIFAR_EXP_OUTBOX, or in the user's data folder."""
    from platformdirs import user_data_path  # noqa: PLC0415 - not needed for --help

    chosen = os.environ.get(OUTBOX_VARIABLE)
    return Path(chosen).absolute() if chosen else user_data_path("cifar_exp") / "outbox"


def lock_file(purpose: str) -> Path:
    """Return the lock file of a purpose; it is created.

    Raises:
        Unavailable: This user cannot write to it.
    """
    folder = _writable("locks")
    if folder is None:
        raise Unavailable(
            f"there is no write access to {cache() / 'locks'}: give access, or set "
            f"{CACHE_VARIABLE} to another folder"
        )
    path = shared_file(folder / f"{hashlib.sha256(purpose.encode()).hexdigest()[:16]}.lock")
    if not os.access(path, os.R_OK | os.W_OK):
        raise Unavailable(
            f"the lock {path} belongs to another user: its owner can give access "
            f"(chmod g+w), or set {CACHE_VARIABLE} to another folder"
        )
    return path


def _writable(name: str) -> Path | None:
    """Return a folder in the cache; in the user's own cache if the other one is read-only.

    None if neither can be written.
    """
    for find in (cache, _own_cache):
        with suppress(OSError):
            root = find()
            root.mkdir(parents=True, exist_ok=True)
            folder = shared_folder(root / name)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
    return None


def _own_cache() -> Path:
    from platformdirs import user_cache_path  # noqa: PLC0415 - not needed for --help

    return user_cache_path("cifar_exp")
