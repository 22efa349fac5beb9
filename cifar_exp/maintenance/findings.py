"""What an interruption or a deletion has left in the stores of an experiment, and its repair.

`diagnose` is a function of what the stores hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from cifar_exp.records import TRAININGS, RunRecord
from cifar_exp.study import StudyState
from cifar_exp.tracking import STATUS_OF, ExperimentRuns


def _leave(runs: ExperimentRuns) -> None:
    """Repair nothing: only a sweep of the definition can."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be."""

    sentence: str
    """What is wrong, and what is done about it."""
    repair: Callable[[ExperimentRuns], None] = _leave


def diagnose(
    records: Sequence[RunRecord],
    studies: Iterable[StudyState],
    checkpoints: Iterable[Path],
    held: Set[str] = frozenset(),
) -> list[Finding]:
    """List what is wrong with an experiment, in the order in which it is to be repaired.

    Args:
        records: All runs of the experiment.
        studies: Its studies.
        checkpoints: Files of its trainings that have ended or are deleted.
        held: The ids of the runs that a living process writes to.
    """
    doubles = list(_doubles(records, held))
    superfluous = {record.run_id for record in doubles}
    stay = [r for r in records if r.run_id not in superfluous]
    left_open = [r for r in stay if r.status == "RUNNING" and r.run_id not in held]
    return [
        *map(_double, doubles),
        *map(_left_open, left_open),
        *_without_parent(stay),
        *_out_of_step(studies, stay),
        *map(_leftover, checkpoints),
    ]


def _double(record: RunRecord) -> Finding:
    """Delete a run beside another one of the same training or combination, as MLflow does it."""
    which = "later" if record.finished or record.kind == "combination" else "unused"
    return Finding(
        f"{_name(record)} was there twice: the {which} run is deleted",
        lambda runs: runs.client.delete_run(record.run_id),
    )


def _left_open(record: RunRecord) -> Finding:
    """Close a run that no process is at, and that MLflow shows as running."""
    status = STATUS_OF.get(record.state or "", "KILLED")
    return Finding(
        f"{_name(record)} was left open: closed as {status}", lambda runs: runs.close(record)
    )


def _leftover(path: Path) -> Finding:
    """Remove a file that nothing needs any more."""
    return Finding(f"{path} is of no use any more: removed", lambda _: path.unlink(missing_ok=True))


def _doubles(records: Sequence[RunRecord], held: Set[str]) -> Iterator[RunRecord]:
    """Give all but the oldest finished run of a training, or the oldest one; likewise combinations.

    That one stays.
    """
    for same in _groups(records, _identity):
        first = min(same, key=lambda record: (not record.finished, record.start_time))
        yield from (r for r in same if r is not first and r.run_id not in held)


def _identity(record: RunRecord) -> tuple[Any, ...]:
    if record.combination_id is None:
        return (record.run_id,)
    return (record.combination_id, record.kind, str(record.number), str(record.confirms))


def _groups(
    records: Sequence[RunRecord], key: Callable[[RunRecord], tuple[Any, ...]]
) -> Iterator[list[RunRecord]]:
    return (list(group) for _, group in groupby(sorted(records, key=key), key=key))


def _without_parent(records: Sequence[RunRecord]) -> Iterator[Finding]:
    """Move a training whose combination's run was deleted to another one, if there is one."""
    ids = {record.run_id for record in records}
    combinations = {r.combination_id: r.run_id for r in records if r.kind == "combination"}
    for record in records:
        if record.parent is None or record.parent in ids:
            continue
        parent = combinations.get(record.combination_id) if record.kind in TRAININGS else None
        yield _orphan(record) if parent is None else _astray(record, parent)


def _orphan(record: RunRecord) -> Finding:
    return Finding(
        f"{_name(record)} is under a deleted run: the next sweep of its definition takes it up"
    )


def _astray(record: RunRecord, parent: str) -> Finding:
    return Finding(
        f"{_name(record)} was under a deleted run: moved to its combination's",
        lambda runs: runs.reparent(record, parent),
    )


def _out_of_step(studies: Iterable[StudyState], records: Sequence[RunRecord]) -> Iterator[Finding]:
    """Name the studies that hold other trials than MLflow does."""
    recorded = {(r.combination_id, r.number): r.state for r in records if r.kind == "trial"}
    for study in studies:
        others = [
            f"#{number}"
            for number, state in enumerate(study.states)
            if recorded.get((study.combination_id, number)) != state
        ]
        if others:
            yield Finding(
                f"study {study.name!r} holds {', '.join(others)} otherwise than MLflow: "
                "the next sweep rebuilds it"
            )


def _name(record: RunRecord) -> str:
    return f"{record.kind} {record.name}"
