"""Who works on what: locks that the system frees when their holder ends, however it ends.

A sweep is held by the process that opens and closes it, a unit of work by the process that does
it. Beside the lock of a sweep lies a note that says who holds it; it is text for messages, and
what is left of one after a crash keeps nobody out.
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
from cifar_exp.records import RunRecord
from cifar_exp.system.paths import lock_file
from cifar_exp.system.urls import store_name

SECONDS_OF_A_LOOK = 0.5
"""A process that looks whether a lock is free holds it for an instant, which is waited for."""


class InUse(Unavailable):
    """Another process holds what is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The process that holds a sweep, as it said itself."""

    pid: int
    host: str
    since: str
    """Local time in ISO's form."""
    definition: str
    """Hash of the definition that it runs; empty where it runs none."""

    def __str__(self) -> str:
        """Name the process, its machine and since when."""
        since = datetime.fromisoformat(self.since)
        today = since.date() == datetime.now().date()
        return f"process {self.pid} on {self.host} since {since:{'%H:%M' if today else '%F %H:%M'}}"


@contextmanager
def alone(
    stores: Sequence[str], experiment: str, *, definition: str = "", wait: bool = False
) -> Iterator[None]:
    """Hold the sweep of an experiment in these stores: on this machine, no other process may.

    Args:
        stores: MLflow's address, or that and Optuna's.
        experiment: The name in its definition.
        definition: The hash of the definition that is run.
        wait: Whether to wait for another holder.

    Raises:
        InUse: Another process holds it.
    """
    note = json.dumps(asdict(_this_process(definition)))
    with ExitStack() as held:
        for path in _sweep_locks(stores, experiment):
            try:
                patience = -1 if wait else SECONDS_OF_A_LOOK
                held.enter_context(FileLock(path).acquire(timeout=patience))
            except Timeout:
                raise InUse(
                    f"experiment {experiment!r} is in use by {_note(path) or 'another process'}; "
                    "wait for it, or work on it too with --join"
                ) from None
            held.callback(_note_file(path).unlink, missing_ok=True)
            _note_file(path).write_text(note, encoding="utf-8")
        yield


def holder(stores: Sequence[str], experiment: str) -> Holder | None:
    """Return who holds the sweep of an experiment; nobody, where its note is not written yet."""
    held = [path for path in _sweep_locks(stores, experiment) if not _is_free(path)]
    return next(filter(None, map(_note, held)), None)


def is_free(stores: Sequence[str], experiment: str) -> bool:
    """Say whether no process holds the sweep of an experiment."""
    return all(map(_is_free, _sweep_locks(stores, experiment)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """The units of work of one experiment in one MLflow store; each has a lock of its own."""

    store: str
    experiment: str

    @contextmanager
    def held(self, combination_id: str, number: int | None = None) -> Iterator[bool]:
        """Hold the tuning of a combination, or its confirmation `number`, if no process does.

        Gives whether it is held now; it is not waited for.
        """
        try:
            with FileLock(self._file(combination_id, number)).acquire(timeout=0):
                yield True
        except Timeout:
            yield False

    def is_free(self, combination_id: str, number: int | None = None) -> bool:
        """Say whether no process is at a unit of work."""
        return _is_free(self._file(combination_id, number))

    def is_held(self, record: RunRecord) -> bool:
        """Say whether a process is at the unit of work that writes a run of a training."""
        number = record.number if record.kind == "confirmation" else None
        return not self.is_free(record.combination_id or record.run_id, number)

    def forget(self) -> None:
        """Remove the locks; call it when nothing is left to do."""
        for file in self._folder.glob("*.lock"):
            file.unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return lock_file(f"units {store_name(self.store)} {self.experiment}").with_suffix("")

    def _file(self, combination_id: str, number: int | None) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{combination_id} {'tuning' if number is None else number}.lock"


def _sweep_locks(stores: Sequence[str], experiment: str) -> list[Path]:
    names = dict.fromkeys(map(store_name, stores))  # two schemas of a database have one name
    return [lock_file(f"sweep {name} {experiment}") for name in names]


def _is_free(path: Path) -> bool:
    try:
        with FileLock(path).acquire(timeout=0):
            return True
    except Timeout:
        return False


def _this_process(definition: str) -> Holder:
    since = datetime.now().isoformat(timespec="seconds")
    host = socket.gethostname()
    return Holder(pid=os.getpid(), host=host, since=since, definition=definition)


def _note_file(path: Path) -> Path:
    return path.with_suffix(".note")


def _note(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(_note_file(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not written yet, or torn: it is only text
        return None
