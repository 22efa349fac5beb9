"""Disk space: the estimated need of a sweep, the check before it, and the error of a full disk."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cifar_exp.comparison import num_trials
from cifar_exp.errors import Unavailable
from cifar_exp.experiment import Experiment, num_settings
from cifar_exp.records import RunRecord
from cifar_exp.system.formatting import size

BYTES_PER_PREDICTION = 10  # uncompressed; two bytes more with over 256 classes
BYTES_PER_MODEL = 30_000  # what MLflow writes beside a network
BYTES_PER_RUN = 30_000  # rows in the two databases
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FULL_SQLITE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
FULL_TEXTS = ("No space left on device", "database or disk is full")  # also from a server


class NoRoom(Unavailable):
    """A disk has too little free space."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Disk space that a sweep needs, in bytes."""

    files: int
    """Models and predictions."""
    rows: int
    """Rows of the two databases."""


def need(
    experiment: Experiment, model_bytes: int, test_images: int, records: Sequence[RunRecord] = ()
) -> Need:
    """Estimate the disk space that the rest of a sweep needs, with the fewest replicates.

    Args:
        experiment: The sweep.
        model_bytes: The size of one stored network.
        test_images: How many predictions a confirmation stores.
        records: The existing runs of the experiment's combinations.
    """
    studies, seeds = experiment.design.numbers(experiment.design.replicates[0])
    combinations = experiment.combinations()
    trials = _trials_left(experiment, studies, records)
    confirmed = _finished(records, "confirmation", studies, seeds)
    confirmations = experiment.num_confirmations - len(confirmed)
    tuned = min(trials, len(combinations) * len(studies))  # each can store one new best model
    models = (trials if experiment.keep_models == "all" else tuned) + confirmations
    predictions = confirmations * test_images * BYTES_PER_PREDICTION
    return Need(
        files=models * (model_bytes + BYTES_PER_MODEL) + predictions,
        rows=(trials + confirmations) * BYTES_PER_RUN,
    )


def check(experiment: Experiment, needs: Iterable[tuple[Path, int]]) -> None:
    """Check that the disks have enough free space.

    Args:
        experiment: The sweep, for the message.
        needs: Folders, which need not exist yet, and the bytes needed in each.

    Raises:
        NoRoom: A disk has less free space than its folders need together.
    """
    disks: dict[int, tuple[Path, int]] = {}
    for folder, num_bytes in needs:
        parent = _existing_parent(folder)
        path, total = disks.get(parent.stat().st_dev, (parent, 0))
        disks[parent.stat().st_dev] = (path, total + num_bytes)
    for path, total in disks.values():
        free = shutil.disk_usage(path).free
        if total > free:
            advice = "" if experiment.keep_models == "best" else ', or set keep_models = "best"'
            raise NoRoom(
                f"experiment {experiment.name!r} needs about {size(total - free)} more than the "
                f"{size(free)} free on {path}; free some{advice}"
            )


@contextmanager
def told_when_full() -> Iterator[None]:
    """Convert any error caused by a full disk into `NoRoom`.

    Raises:
        NoRoom: A disk is full.
    """
    try:
        yield
    except Exception as error:
        if not any(map(_is_disk_full, _causes(error))):
            raise
        names = (getattr(cause, "filename", None) for cause in _causes(error))
        path = next((f" at {name}" for name in names if name), "")
        raise NoRoom(
            f"the disk is full{path}: free some space, then run the same command again to resume"
        ) from error


def _trials_left(experiment: Experiment, studies: range, records: Sequence[RunRecord]) -> int:
    """Return how many trials of these studies are left to train."""
    design = experiment.design
    ended: dict[tuple[str | None, int], list[RunRecord]] = {}
    for trial in _finished(records, "trial", studies, range(design.trials)):
        ended.setdefault((trial.combination, trial.study), []).append(trial)
    left = 0
    for combination in experiment.combinations():
        size = num_settings(experiment.space(combination))
        for number in studies:
            trials = ended.get((combination.name, number), [])
            left += num_trials(trials, design, size) - len(trials)
    return left


def _finished(
    records: Sequence[RunRecord], kind: str, studies: range, numbers: range
) -> Collection[RunRecord]:
    """Return the finished trainings of a kind with these numbers, without duplicate runs."""
    found = {
        (r.combination_id, r.study, r.number): r
        for r in records
        if r.kind == kind and r.finished and r.study in studies and r.number in numbers
    }
    return found.values()


def _existing_parent(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_disk_full(error: BaseException) -> bool:
    match error:
        case OSError(errno=number) if number in FULL:
            return True
        case sqlite3.Error() if getattr(error, "sqlite_errorcode", None) in FULL_SQLITE:
            return True
    return any(text in str(error) for text in FULL_TEXTS)
