"""The Optuna storage of the studies."""

from __future__ import annotations

import os
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

SQLITE_TIMEOUT = 60  # seconds


class Storage(RDBStorage):
    """Optuna's relational storage, to which finished trials are added.

    Optuna queries each intermediate value twice before it writes it, which takes a millisecond. A
    new trial has none, so the queries are skipped.
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


def resolve_url(given: str | None) -> str:
    """Return the URL of the study storage to use.

    Args:
        given: A URL; default: OPTUNA_STORAGE, if unset `optuna.db` in the current folder.
    """
    return given or os.environ.get("OPTUNA_STORAGE") or sqlite.url_of(Path("optuna.db"))


def connect(url: str) -> BaseStorage:
    """Open the study storage at `url`; a new database is created.

    Several processes may call this at the same time: a lock protects the creation of the tables,
    which Optuna does not protect itself.

    Raises:
        StudyError: The storage cannot be used.
    """
    sqlite.share_files()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with FileLock(lock_file(f"tables {store_name(url)}")):
            if url.startswith("sqlite"):
                timeout = {"connect_args": {"timeout": SQLITE_TIMEOUT}}
                return Storage(url, engine_kwargs=timeout)
            return Storage(url)
    except Exception as error:  # each database driver raises errors of its own
        reason = hide(first_line(error), secrets_in(url))
        raise StudyError(f"the Optuna storage cannot be used: {reason}") from error
