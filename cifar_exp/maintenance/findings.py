"""What an interruption or a deletion has left in the stores of an experiment, and its repair.

`diagnose` is a function of what the stores hold. Each finding says in a sentence what is wrong
and what is done, and knows how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from cifar_exp import study
from cifar_exp.records import TRAININGS, RunRecord
from cifar_exp.study import StudyTrial
from cifar_exp.tracking import STATUS_OF, Tracker
from cifar_exp.training.retries import settle_own


class Finding(Protocol):
    """Something that is not as it should be."""

    @property
    def sentence(self) -> str:
        """What is wrong, and what is done about it."""

    def repair(self, tracker: Tracker) -> None:
        """Do it."""


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """A run that no process is at, and that MLflow shows as running."""

    record: RunRecord

    @property
    def sentence(self) -> str:
        """Say how it is closed."""
        status = STATUS_OF.get(self.record.state or "", "KILLED")
        return f"{_name(self.record)} was left open: closed as {status}"

    def repair(self, tracker: Tracker) -> None:
        """Close it, and count the attempt that it was."""
        tracker.close(self.record)
        settle_own(tracker, [self.record])


@dataclass(frozen=True, slots=True)
class Double:
    """A run beside another one of the same training or combination."""

    record: RunRecord

    @property
    def sentence(self) -> str:
        """Say which of the two is deleted."""
        which = "later" if self.record.finished or self.record.kind == "combination" else "unused"
        return f"{_name(self.record)} was there twice: the {which} run is deleted"

    def repair(self, tracker: Tracker) -> None:
        """Delete it, as MLflow does: it can be restored until MLflow's own gc."""
        tracker.client.delete_run(self.record.run_id)


@dataclass(frozen=True, slots=True)
class Astray:
    """A training whose combination's run was deleted, and there is another one."""

    record: RunRecord
    parent: str

    @property
    def sentence(self) -> str:
        """Say where it goes."""
        return f"{_name(self.record)} was under a deleted run: moved to its combination's"

    def repair(self, tracker: Tracker) -> None:
        """Move it."""
        tracker.reparent(self.record, self.parent)


@dataclass(frozen=True, slots=True)
class Orphan:
    """A run whose parent was deleted, and nothing is there to take it."""

    record: RunRecord

    @property
    def sentence(self) -> str:
        """Say who takes it up."""
        return (
            f"{_name(self.record)} is under a deleted run: "
            "the next sweep of its definition takes it up"
        )

    def repair(self, tracker: Tracker) -> None:
        """Leave it: only a definition tells where it belongs."""


@dataclass(frozen=True, slots=True)
class Untold:
    """A trial that MLflow holds finished, and Optuna as under way."""

    trial: StudyTrial
    record: RunRecord

    @property
    def sentence(self) -> str:
        """Say what the study is told."""
        return f"{_name(self.record)} was under way in Optuna: told that it is {self.record.state}"

    def repair(self, tracker: Tracker) -> None:
        """Tell the study."""
        del tracker
        study.tell(self.trial, self.record)


@dataclass(frozen=True, slots=True)
class Ahead:
    """A study that holds finished trials which MLflow lacks."""

    name: str
    numbers: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """Name the trials."""
        trials = ", ".join(f"#{number}" for number in self.numbers)
        return f"study {self.name!r} holds {trials}, which MLflow lacks: the next sweep rebuilds it"

    def repair(self, tracker: Tracker) -> None:
        """Leave it: what tunes the combination next makes the study anew from MLflow."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that nothing needs any more."""

    path: Path

    @property
    def sentence(self) -> str:
        """Name the file."""
        return f"{self.path} is of no use any more: removed"

    def repair(self, tracker: Tracker) -> None:
        """Remove it."""
        del tracker
        self.path.unlink(missing_ok=True)


def diagnose(
    records: Sequence[RunRecord],
    trials: Iterable[StudyTrial],
    files: Iterable[Path],
    held: Set[str],
    deleted: Set[str] = frozenset(),
) -> list[Finding]:
    """List what is wrong with an experiment, in the order in which it is to be repaired.

    Args:
        records: All runs of the experiment.
        trials: All trials of its studies.
        files: Checkpoints and their partial files, each named after its run.
        held: The ids of the runs that a living process writes to.
        deleted: The ids of runs that were deleted.
    """
    doubles = list(_doubles(records, held))
    superfluous = {double.record.run_id for double in doubles}
    stay = [r for r in records if r.run_id not in superfluous]
    finished = {(r.combination_id, r.number): r for r in stay if r.kind == "trial" and r.finished}
    open_ = [r for r in stay if r.status == "RUNNING" and r.run_id not in held]
    return [
        *doubles,
        *map(LeftOpen, open_),
        *_without_parent(stay),
        *_out_of_step(trials, finished),
        *map(Leftover, _useless(files, stay, held, deleted | superfluous)),
    ]


def _doubles(records: Sequence[RunRecord], held: Set[str]) -> Iterator[Double]:
    """Keep the oldest finished run of a training, or the oldest one, and of a combination too."""
    for same in _groups(records, _identity):
        first = min(same, key=lambda record: (not record.finished, record.start_time))
        yield from (Double(r) for r in same if r is not first and r.run_id not in held)


def _identity(record: RunRecord) -> tuple[Any, ...]:
    if record.combination_id is None:
        return (record.run_id,)
    return (record.combination_id, record.kind, str(record.number), str(record.confirms))


def _groups(
    records: Sequence[RunRecord], key: Callable[[RunRecord], tuple[Any, ...]]
) -> Iterator[list[RunRecord]]:
    return (list(group) for _, group in groupby(sorted(records, key=key), key=key))


def _without_parent(records: Sequence[RunRecord]) -> Iterator[Finding]:
    ids = {record.run_id for record in records}
    combinations = {r.combination_id: r.run_id for r in records if r.kind == "combination"}
    for record in records:
        if record.parent is None or record.parent in ids:
            continue
        place = combinations.get(record.combination_id) if record.kind in TRAININGS else None
        yield Orphan(record) if place is None else Astray(record, place)


def _out_of_step(
    trials: Iterable[StudyTrial], finished: dict[tuple[str | None, int | None], RunRecord]
) -> Iterator[Finding]:
    ahead: dict[str, list[int]] = {}
    for trial in trials:
        record = finished.get((trial.combination_id, trial.number))
        if trial.finished and record is None:
            ahead.setdefault(trial.study, []).append(trial.number)
        elif record is not None and not trial.finished:
            yield Untold(trial, record)
    yield from (Ahead(name, tuple(numbers)) for name, numbers in ahead.items())


def run_of(file: Path) -> str:
    """Return the id of the run whose checkpoint a file is, or a part of it."""
    return file.name.partition(".")[0]


def _useless(
    files: Iterable[Path], records: Sequence[RunRecord], held: Set[str], deleted: Set[str]
) -> Iterator[Path]:
    """Return the checkpoints of finished and deleted trainings, and parts that nobody writes to."""
    here = {record.run_id for record in records} - held
    done = {record.run_id for record in records if record.finished} | deleted
    for file in files:
        run_id = run_of(file)
        if run_id in done - held or (run_id in here and file.suffix == ".tmp"):
            yield file


def _name(record: RunRecord) -> str:
    return f"{record.kind} {record.name}"
