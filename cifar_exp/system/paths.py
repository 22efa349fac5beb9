"""The folders of the user's machine that the package writes to, beside the current one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

CACHE_VARIABLE = "CIFAR_EXP_CACHE"
OUTBOX_VARIABLE = "CIFAR_EXP_OUTBOX"


def cache() -> Path:
    """Return the folder of decoded data sets and locks: CIFAR_EXP_CACHE, or the user's cache."""
    from platformdirs import user_cache_path  # noqa: PLC0415 - --help does without

    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).absolute() if chosen else user_cache_path("cifar_exp")


def checkpoints() -> Path:
    """Return the folder of what unfinished trainings go on from."""
    return cache() / "checkpoints"


def checkpoint_name(*training: str | int | None) -> str:
    """Name the checkpoint of a training by its store, combination, kind, number and setting."""
    return hashlib.sha256(" ".join(map(str, training)).encode()).hexdigest()[:32]


def outboxes() -> Path:
    """Return the folder of what is kept for servers: CIFAR_EXP_OUTBOX, or in the user's data."""
    from platformdirs import user_data_path  # noqa: PLC0415 - --help does without

    chosen = os.environ.get(OUTBOX_VARIABLE)
    return Path(chosen).absolute() if chosen else user_data_path("cifar_exp") / "outbox"


def lock_file(purpose: str) -> Path:
    """Return the file that processes lock which share a purpose; its folder is made."""
    folder = cache() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(purpose.encode()).hexdigest()[:16]}.lock"
