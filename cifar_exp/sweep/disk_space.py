"""Room on the disks: what a sweep needs, what there is, and what is said where there is none."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cifar_exp.errors import Unavailable
from cifar_exp.experiment import Experiment
from cifar_exp.records import RunRecord
from cifar_exp.system.formatting import size

BYTES_PER_PREDICTION = 6  # uncompressed; two bytes more with over 256 classes
BYTES_PER_MODEL = 10_000  # what MLflow writes beside a network
BYTES_PER_RUN = 30_000  # rows in the two databases
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
FULL_TEXTS = ("No space left on device", "database or disk is full")  # also told by a server


class NoRoom(Unavailable):
    """A disk has too little room for what is to be stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What is to be stored, in bytes."""

    files: int
    """Models and predictions."""
    rows: int
    """Rows of the two databases."""


def need(
    experiment: Experiment, model_bytes: int, test_images: int, records: Sequence[RunRecord] = ()
) -> Need:
    """Return what a sweep will store, beside what it has stored already.

    Args:
        experiment: The sweep.
        model_bytes: The size of one stored network.
        test_images: How many predictions a confirmation stores.
        records: The runs of the experiment's combinations that are there.
    """
    combinations = len(experiment.combinations())
    trials = combinations * experiment.search.trials - _finished(
        records, "trial", range(experiment.search.trials)
    )
    confirmations = combinations * experiment.confirm.seeds - _finished(
        records, "confirmation", range(1, experiment.confirm.seeds + 1)
    )
    tuned = min(trials, combinations)  # at most so many combinations still find a better trial
    models = (trials if experiment.keep_models == "all" else tuned) + confirmations
    predictions = confirmations * test_images * BYTES_PER_PREDICTION
    return Need(
        files=models * (model_bytes + BYTES_PER_MODEL) + predictions,
        rows=(trials + confirmations) * BYTES_PER_RUN,
    )


def check(experiment: Experiment, needs: Iterable[tuple[Path, int]]) -> None:
    """Check that there is room for so many bytes in each folder, whether it exists yet or not.

    Raises:
        NoRoom: A disk has less room than its folders need together.
    """
    disks: dict[int, tuple[Path, int]] = {}
    for folder, num_bytes in needs:
        existing = _existing(folder)
        path, together = disks.get(existing.stat().st_dev, (existing, 0))
        disks[existing.stat().st_dev] = (path, together + num_bytes)
    for path, together in disks.values():
        free = shutil.disk_usage(path).free
        if together > free:
            advice = "" if experiment.keep_models == "best" else ', or set keep_models = "best"'
            raise NoRoom(
                f"experiment {experiment.name!r} needs about {size(together - free)} more than the "
                f"{size(free)} free on {path}; free some{advice}"
            )


@contextmanager
def told_when_full() -> Iterator[None]:
    """Turn whatever error a full disk has caused into one sentence.

    Raises:
        NoRoom: A disk is full.
    """
    try:
        yield
    except Exception as error:
        if not any(map(_tells_of_full_disk, _causes(error))):
            raise
        named = (getattr(cause, "filename", None) for cause in _causes(error))
        path = next((f" at {name}" for name in named if name), "")
        raise NoRoom(
            f"the disk is full{path}: free some space, then run the same command again to resume"
        ) from error


def _finished(records: Sequence[RunRecord], kind: str, numbers: range) -> int:
    found = {
        (r.combination_id, r.number)
        for r in records
        if r.kind == kind and r.finished and r.number in numbers
    }
    return len(found)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _tells_of_full_disk(error: BaseException) -> bool:
    match error:
        case OSError(errno=number) if number in FULL:
            return True
        case sqlite3.Error() if getattr(error, "sqlite_errorcode", None) in FULL_SQLITE:
            return True
    return any(text in str(error) for text in FULL_TEXTS)
