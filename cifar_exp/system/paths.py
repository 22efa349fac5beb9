"""Folders that the package writes to, in addition to the current folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CACHE_VARIABLE = "CIFAR_EXP_CACHE"
OUTBOX_VARIABLE = "CIFAR_EXP_OUTBOX"


def cache() -> Path:
    """Return the cache folder of data sets and locks: CIFAR_EXP_CACHE, or in the user's cache."""
    from platformdirs import user_cache_path  # noqa: PLC0415 - not needed for --help

    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).absolute() if chosen else user_cache_path("cifar_exp")


def checkpoints() -> Path:
    """Return the folder of checkpoints."""
    return cache() / "checkpoints"


def checkpoint_name(*training: str | int | None) -> str:
    """Return the name of a checkpoint, a hash of store, study, kind, number and setting."""
    return hashlib.sha256(" ".join(map(str, training)).encode()).hexdigest()[:32]


def outboxes() -> Path:
    """Return the folder of outboxes: CIFAR_EXP_OUTBOX, or in the user's data folder."""
    from platformdirs import user_data_path  # noqa: PLC0415 - not needed for --help

    chosen = os.environ.get(OUTBOX_VARIABLE)
    return Path(chosen).absolute() if chosen else user_data_path("cifar_exp") / "outbox"


def lock_file(purpose: str) -> Path:
    """Return the lock file of a purpose; its folder is created."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(purpose.encode()).hexdigest()[:16]}.lock"
