"""The Optuna storage that holds the studies."""

from __future__ import annotations

from pathlib import Path

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, RDBStorage

from cifar_exp.errors import Unavailable
from cifar_exp.system import sqlite
from cifar_exp.system.formatting import first_line
from cifar_exp.system.paths import lock_file
from cifar_exp.system.urls import hide, secrets_in, store_name

SECONDS_TO_WAIT_FOR_SQLITE = 60


class StudyError(Unavailable):
    """The study storage cannot be reached, read or written."""


def default_url() -> str:
    """Return the database file `optuna.db` in the current folder."""
    return f"sqlite:///{Path('optuna.db').absolute()}"


def connect(url: str) -> BaseStorage:
    """Open the study storage at `url`, which is created if it is a new database.

    Several processes may call this at once: Optuna makes its tables unguarded, so a lock does.

    Raises:
        StudyError: The storage cannot be used.
    """
    sqlite.share_files()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with FileLock(lock_file(f"tables {store_name(url)}")):
            if url.startswith("sqlite"):
                wait = {"connect_args": {"timeout": SECONDS_TO_WAIT_FOR_SQLITE}}
                return RDBStorage(url, engine_kwargs=wait)
            return optuna.storages.get_storage(url)
    except Exception as error:  # each kind of storage raises its own driver's errors
        reason = hide(first_line(error), secrets_in(url))
        raise StudyError(f"the Optuna storage cannot be used: {reason}") from error
