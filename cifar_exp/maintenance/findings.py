"""Findings: inconsistencies in the stores after an interruption or a deletion, and their repair.

`diagnose` is a pure function of the contents of the stores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from cifar_exp.records import TRAININGS, RunRecord, study_label
from cifar_exp.study import StudyState
from cifar_exp.tracking import STATUS_OF, ExperimentRuns


def _no_repair(runs: ExperimentRuns) -> None:
    """Do nothing: only a sweep of the definition can repair it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One inconsistency."""

    sentence: str
    """The inconsistency and its repair, for the user."""
    repair: Callable[[ExperimentRuns], None] = _no_repair


def diagnose(
    records: Sequence[RunRecord],
    studies: Iterable[StudyState],
    checkpoints: Iterable[Path],
    held: Set[str] = frozenset(),
) -> list[Finding]:
    """Return the findings of an experiment, in the order of their repair.

    Args:
        records: All runs of the experiment.
        studies: The studies of the experiment.
        checkpoints: Checkpoint files of ended or deleted trainings.
        held: The ids of the runs that a live process writes to.
    """
    duplicates = list(_duplicates(records, held))
    duplicate_ids = {record.run_id for record in duplicates}
    unique = [r for r in records if r.run_id not in duplicate_ids]
    unclosed = [r for r in unique if r.status == "RUNNING" and r.run_id not in held]
    return [
        *map(_duplicate, duplicates),
        *map(_unclosed, unclosed),
        *_without_parent(unique),
        *_inconsistent_studies(studies, unique),
        *map(_unused_file, checkpoints),
    ]


def _duplicate(record: RunRecord) -> Finding:
    """Mark a duplicate run as deleted in MLflow, which keeps it until its own `gc`."""
    which = "later" if record.finished or record.kind == "combination" else "unused"
    return Finding(
        f"{_name(record)} is a duplicate: the {which} run is deleted",
        lambda runs: runs.delete(record),
    )


def _unclosed(record: RunRecord) -> Finding:
    """Close a run that is shown as running but that no process writes to."""
    status = STATUS_OF.get(record.state or "", "KILLED")
    return Finding(
        f"{_name(record)} was left open: closed as {status}", lambda runs: runs.close(record)
    )


def _unused_file(path: Path) -> Finding:
    """Delete a file that is no longer needed."""
    return Finding(
        f"{path} is not needed any more: removed", lambda _: path.unlink(missing_ok=True)
    )


def _duplicates(records: Sequence[RunRecord], held: Set[str]) -> Iterator[RunRecord]:
    """Yield the duplicate runs of each training and combination.

    The oldest finished run is kept, or the oldest run if none is finished.
    """
    for group in _groups(records, _identity):
        first = min(group, key=lambda record: (not record.finished, record.start_time))
        yield from (r for r in group if r is not first and r.run_id not in held)


def _identity(record: RunRecord) -> tuple[Any, ...]:
    if record.combination_id is None:
        return (record.run_id,)
    study = study_label(record.combination_id, record.study)
    return (study, record.kind, str(record.number), str(record.confirms))


def _groups(
    records: Sequence[RunRecord], key: Callable[[RunRecord], tuple[Any, ...]]
) -> Iterator[list[RunRecord]]:
    return (list(group) for _, group in groupby(sorted(records, key=key), key=key))


def _without_parent(records: Sequence[RunRecord]) -> Iterator[Finding]:
    """Yield a finding for each run whose parent is deleted; a training moves to another parent."""
    ids = {record.run_id for record in records}
    combinations = {r.combination_id: r.run_id for r in records if r.kind == "combination"}
    for record in records:
        if record.parent is None or record.parent in ids:
            continue
        parent = combinations.get(record.combination_id) if record.kind in TRAININGS else None
        yield _orphan(record) if parent is None else _misplaced(record, parent)


def _orphan(record: RunRecord) -> Finding:
    return Finding(
        f"{_name(record)} is under a deleted run: the next sweep of its definition moves it"
    )


def _misplaced(record: RunRecord, parent: str) -> Finding:
    return Finding(
        f"{_name(record)} was under a deleted run: moved to its combination's",
        lambda runs: runs.reparent(record, parent),
    )


def _inconsistent_studies(
    studies: Iterable[StudyState], records: Sequence[RunRecord]
) -> Iterator[Finding]:
    """Yield a finding for each study whose trials differ from those in MLflow."""
    recorded = {
        (r.combination_id, r.study, r.number): r.state for r in records if r.kind == "trial"
    }
    for study in studies:
        different = [
            f"#{number}"
            for number, state in enumerate(study.states)
            if recorded.get((study.key.combination_id, study.key.study, number)) != state
        ]
        if different:
            yield Finding(
                f"study {study.name!r} differs from MLflow in {', '.join(different)}: "
                "the next sweep rebuilds it"
            )


def _name(record: RunRecord) -> str:
    return f"{record.kind} {record.name}"
