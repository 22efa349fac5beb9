"""Process locks, which the operating system releases when their holder ends in any way.

The lock file of a sweep has a note file that names the holder, for messages. A note left by a crash
blocks nobody.
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
    """Another process holds the lock."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The process that holds the lock of a sweep, as written in its note."""

    pid: int
    host: str
    since: str
    """Local time in ISO format."""

    def __str__(self) -> str:
        """Return process id, host and start time."""
        since = datetime.fromisoformat(self.since)
        today = since.date() == datetime.now().date()
        return f"process {self.pid} on {self.host} since {since:{'%H:%M' if today else '%F %H:%M'}}"


@contextmanager
def alone(stores: Sequence[str], experiment: str) -> Iterator[None]:
    """Hold the lock of an experiment in these stores, on this machine.

    Args:
        stores: The address of the MLflow store, or of the MLflow store and the Optuna storage.
        experiment: The name in the definition.

    Raises:
        InUse: Another process holds the lock.
    """
    note = json.dumps(asdict(_this_process()))
    with ExitStack() as stack:
        for path in _sweep_locks(stores, experiment):
            try:
                stack.enter_context(FileLock(path).acquire(timeout=0))
            except Timeout:
                raise InUse(
                    f"experiment {experiment!r} is in use by {_note(path) or 'another process'}; "
                    "wait for it"
                ) from None
            _note_file(path).unlink(missing_ok=True)  # another user may have been killed
            stack.callback(_note_file(path).unlink, missing_ok=True)
            _note_file(path).write_text(note, encoding="utf-8")
        yield


@contextmanager
def writing(run_id: str) -> Iterator[None]:
    """Hold the lock of a single training's run while this process writes to it."""
    path = lock_file(f"run {run_id}")
    with FileLock(path):
        yield
    path.unlink(missing_ok=True)


def is_held(run_id: str) -> bool:
    """Return whether a live process writes to the run of a single training."""
    try:
        with FileLock(lock_file(f"run {run_id}")).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _sweep_locks(stores: Sequence[str], experiment: str) -> list[Path]:
    names = dict.fromkeys(map(store_name, stores))  # two schemas of a database have the same name
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
    except (
        OSError,
        ValueError,
        TypeError,
    ):  # not written yet, or incomplete; it is only for messages
        return None
