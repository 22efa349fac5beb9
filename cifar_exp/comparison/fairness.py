"""Fairness: the conditions that were and were not the same for all combinations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cifar_exp.records import RunRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition of the trainings: its most frequent value, and the exceptions."""

    name: str
    value: str
    different: Mapping[str, str] = field(default_factory=dict)
    """The other values, by combination."""

    @property
    def same(self) -> bool:
        """Whether the condition was the same for all combinations."""
        return not self.different


Trainings = Sequence[RunRecord]


def conditions(trainings: Mapping[str, Trainings]) -> tuple[Condition, ...]:
    """Compare the conditions of the trainings of each combination.

    Omitted are conditions that no training recorded, and combinations without finished trainings.
    """
    trained = {name: records for name, records in trainings.items() if records}
    compared = (
        _condition(name, {key: read(records) for key, records in trained.items()})
        for name, read in READ.items()
    )
    return tuple(condition for condition in compared if condition is not None)


def _condition(name: str, values: Mapping[str, str]) -> Condition | None:
    counts = Counter(value for value in values.values() if value)
    if not counts:
        return None
    most_frequent = min(counts, key=lambda value: (-counts[value], value))
    different = {key: value or "unknown" for key, value in values.items() if value != most_frequent}
    return Condition(name=name, value=most_frequent, different=different)


def _count(kind: str) -> Callable[[Trainings], str]:
    return lambda records: str(sum(r.kind == kind for r in records))


def _params(name: str, *kinds: str) -> Callable[[Trainings], str]:
    return lambda records: _joined(
        r.params.get(name) for r in records if not kinds or r.kind in kinds
    )


def _network(record: RunRecord) -> str | None:
    """Return the network of a training, with its settings."""
    name, settings = record.params.get("model"), _settings(record, "model.")
    return f"{name} ({settings})" if name and settings else name


def _settings(record: RunRecord, prefix: str) -> str | None:
    """Return the params of a training that begin with a prefix; None if there are none."""
    settings = (
        f"{name[len(prefix) :]} = {text}"
        for name, text in sorted(record.params.items())
        if name.startswith(prefix)
    )
    return ", ".join(settings) or None


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
    "data changes": lambda records: _joined(_settings(r, "data_changes.") for r in records),
    "network": lambda records: _joined(map(_network, records)),
    "augmentation": _params("augment"),
    "average of the weights": _params("ema"),
    "precision": _params("precision"),
    "device": _params("device"),
    "processor": _tags("processor"),
    "threads": _params("threads"),
    "torch": _tags("version.torch"),
    "code": _tags("mlflow.source.git.commit"),
}
