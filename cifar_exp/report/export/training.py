"""A training with its epochs, and the folders of trainings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from cifar_exp.records import Point, RunRecord

UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]")
"""What some file system does not allow in a name."""
LONGEST = 200
"""Characters of a name; file systems allow 255 bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportedTraining:
    """A training with the metrics of its epochs."""

    record: RunRecord
    epochs: tuple[Point, ...]
    counted: bool
    """Whether the ranking of the latest sweep uses it."""

    @property
    def state(self) -> str:
        """COMPLETE, PRUNED or FAIL; the status of the run while it has not ended."""
        return self.record.state or self.record.status

    @property
    def number(self) -> str:
        """What the training is: `trial-3`, `seed-1`, or its run if it is a single training."""
        record = self.record
        if record.number is None:
            return record.run_id[:8]
        return f"trial-{record.number}" if record.kind == "trial" else f"seed-{record.number}"


def folders(trainings: Iterable[ExportedTraining]) -> dict[str, PurePosixPath]:
    """Return a folder of each training by its run id, such as `mse+sgd/study-2/trial-3`.

    Of trainings with the same name, one that the ranking uses has the plain name; the others are
    of an edited combination or an earlier best setting, and have a part of the run id in addition.
    The folders are different on every file system, also where case does not matter.
    """
    found: dict[str, PurePosixPath] = {}
    taken: set[str] = set()
    for training in sorted(trainings, key=lambda t: (not t.counted, -t.record.start_time)):
        folder = _folder(training)
        if str(folder).casefold() in taken:
            folder = folder.with_name(f"{folder.name}-{training.record.run_id[:8]}")
        taken.add(str(folder).casefold())
        found[training.record.run_id] = folder
    return found


def _folder(training: ExportedTraining) -> PurePosixPath:
    record = training.record
    combination = _name(record.combination or record.name)
    study = [] if record.study == 1 else [f"study-{record.study}"]
    return PurePosixPath(combination, *study, training.number)


def _name(text: str) -> str:
    """Return a name of a folder like a text; not `..`, nor one with a dot at an end."""
    return UNSAFE.sub("-", text)[:LONGEST].strip(".") or "run"
