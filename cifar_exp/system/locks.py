"""Who works on what: locks that the system frees when their holder ends, however it ends.

Beside the lock of a sweep lies a note that says who holds it; it is text for messages, and what is
left of one after a crash keeps nobody out.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cifar_exp.errors import Unavailable
from cifar_exp.system.paths import lock_file
from cifar_exp.system.urls import store_name


class InUse(Unavailable):
    """Another process holds what is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The process that holds a sweep, as it said itself."""

    pid: int
    host: str
    since: str
    """Local time in ISO's form."""

    def __str__(self) -> str:
        """Name the process, its machine and since when."""
        since = datetime.fromisoformat(self.since)
        today = since.date() == datetime.now().date()
        return f"process {self.pid} on {self.host} since {since:{'%H:%M' if today else '%F %H:%M'}}"


@contextmanager
def alone(stores: Sequence[str], experiment: str) -> Iterator[None]:
    """Hold the sweep of an experiment in these stores: on this machine, no other process may.

    Args:
        stores: MLflow's address, or that and Optuna's.
        experiment: The name in its definition.

    Raises:
        InUse: Another process holds it.
    """
    note = json.dumps(asdict(_this_process()))
    with ExitStack() as held:
        for path in _sweep_locks(stores, experiment):
            try:
                held.enter_context(FileLock(path).acquire(timeout=0))
            except Timeout:
                raise InUse(
                    f"experiment {experiment!r} is in use by {_note(path) or 'another process'}; "
                    "wait for it"
                ) from None
            held.callback(_note_file(path).unlink, missing_ok=True)
            _note_file(path).write_text(note, encoding="utf-8")
        yield


@contextmanager
def writing(run_id: str) -> Iterator[None]:
    """Hold a run of a training by hand for as long as this process writes to it."""
    path = lock_file(f"run {run_id}")
    with FileLock(path):
        yield
    path.unlink(missing_ok=True)


def is_held(run_id: str) -> bool:
    """Say whether a living process writes to a run of a training by hand."""
    try:
        with FileLock(lock_file(f"run {run_id}")).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _sweep_locks(stores: Sequence[str], experiment: str) -> list[Path]:
    names = dict.fromkeys(map(store_name, stores))  # two schemas of a database have one name
    return [lock_file(f"sweep {name} {experiment}") for name in names]


def _this_process() -> Holder:
    since = datetime.now().isoformat(timespec="seconds")
    host = socket.gethostname()
    return Holder(pid=os.getpid(), host=host, since=since)


def _note_file(path: Path) -> Path:
    return path.with_suffix(".note")


def _note(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(_note_file(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not written yet, or torn: it is only text
        return None
