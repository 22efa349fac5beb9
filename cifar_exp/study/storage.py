"""The Optuna storage that holds the studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb.models import TrialIntermediateValueModel

from cifar_exp.errors import Unavailable
from cifar_exp.system import sqlite
from cifar_exp.system.formatting import first_line
from cifar_exp.system.paths import lock_file
from cifar_exp.system.urls import hide, secrets_in, store_name

SECONDS_TO_WAIT_FOR_SQLITE = 60


class Storage(RDBStorage):
    """Optuna's relational storage; whole trials are added to it, and read by whoever wants to.

    Optuna looks twice for each intermediate value before it writes it, which takes a millisecond.
    A trial that is new has none.
    """

    def _set_trial_intermediate_value_without_commit(
        self, session: Any, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        kind = TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
        session.add(
            TrialIntermediateValueModel(
                trial_id=trial_id,
                step=step,
                intermediate_value=intermediate_value,
                intermediate_value_type=kind,
            )
        )


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
                return Storage(url, engine_kwargs=wait)
            return Storage(url)
    except Exception as error:  # each kind of storage raises its own driver's errors
        reason = hide(first_line(error), secrets_in(url))
        raise StudyError(f"the Optuna storage cannot be used: {reason}") from error
