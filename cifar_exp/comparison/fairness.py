"""Whether all combinations were treated alike: what was the same for all, and what was not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cifar_exp.records import RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition of the trainings: its most frequent value, and who had another one."""

    name: str
    value: str
    different: Mapping[str, str] = field(default_factory=dict)
    """By combination."""

    @property
    def same(self) -> bool:
        """Whether it was the same for all."""
        return not self.different


Trainings = Sequence[RunRecord]


def conditions(trainings: Mapping[str, Trainings]) -> tuple[Condition, ...]:
    """Compare the conditions of the trainings of each combination; what none recorded is left out.

    Combinations without any finished training are no part of it.
    """
    trained = {name: records for name, records in trainings.items() if records}
    found = (
        _condition(name, {key: read(records) for key, records in trained.items()})
        for name, read in READ.items()
    )
    return tuple(condition for condition in found if condition is not None)


def _condition(name: str, values: Mapping[str, str]) -> Condition | None:
    counts = Counter(value for value in values.values() if value)
    if not counts:
        return None
    usual = min(counts, key=lambda value: (-counts[value], value))
    different = {key: value or "unknown" for key, value in values.items() if value != usual}
    return Condition(name=name, value=usual, different=different)


def _count(kind: str) -> Callable[[Trainings], str]:
    return lambda records: str(sum(r.kind == kind for r in records))


def _params(name: str, *kinds: str) -> Callable[[Trainings], str]:
    return lambda records: _joined(
        r.params.get(name) for r in records if not kinds or r.kind in kinds
    )


def _tags(name: str) -> Callable[[Trainings], str]:
    return lambda records: _joined(r.tags.get(name) for r in records)


def _joined(values: Iterable[str | None]) -> str:
    different = {value for value in values if value is not None}
    return ", ".join(sorted(different, key=lambda text: (len(text), text)))


READ: Mapping[str, Callable[[Trainings], str]] = {
    "trials": _count("trial"),
    "confirmations": _count("confirmation"),
    "epochs": _params("epochs"),
    "tuning seed": _params("seed", "trial"),
    "confirmation seeds": _params("seed", "confirmation"),
    "data set": _params("dataset"),
    "data and split": lambda records: _joined(r.data_digest for r in records),
    "network": _params("model"),
    "augmentation": _params("augment"),
    "precision": _params("precision"),
    "device": _params("device"),
    "threads": _params("threads"),
    "torch": _tags("version.torch"),
    "code": _tags("mlflow.source.git.commit"),
}
