"""The names of stored studies, and which tuning each of them holds.

A study is named `experiment/combination`, so that it can be found in optuna-dashboard. Which tuning
it holds is in its attributes, as a combination that has been edited has the same name. The names of
older versions have the combination's identity instead of attributes: such a study keeps its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy

OLD_NAME = re.compile(
    r"(?P<experiment>[^/]+)/\S+(?: study (?P<study>\d+))? (?P<combination_id>[0-9a-f]{16})"
)
SHORTEST_SUFFIX = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyKey:
    """One tuning of a combination; the fields are attributes of its study, named as in MLflow."""

    experiment: str
    combination_id: str
    """The identity of the combination."""
    study: int
    """The number of the study, from 1."""

    @property
    def attributes(self) -> dict[str, str | int]:
        """The attributes of the stored study."""
        return asdict(self)


def key_of(study: FrozenStudy) -> StudyKey | None:
    """Return which tuning a stored study holds; None if another program created it."""
    return key_in(study.user_attrs) or key_in(_in_old_name(study.study_name))


def _in_old_name(name: str) -> dict[str, str | int]:
    found = OLD_NAME.fullmatch(name)
    return {} if found is None else {**found.groupdict(), "study": int(found["study"] or 1)}


def key_in(attributes: Mapping[str, Any]) -> StudyKey | None:
    """Return the tuning that the attributes of a study name; None if they name none."""
    match attributes:
        case {"experiment": str(name), "combination_id": str(identity), "study": int(number)}:
            return StudyKey(experiment=name, combination_id=identity, study=number)
    return None


class StudyNames:
    """The names of the studies in a storage, those that are to be created included.

    Args:
        storage: The storage, which is read once.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._studies = {study.study_name: study for study in storage.get_all_studies()}
        self._names = {key: name for name, study in self._studies.items() if (key := key_of(study))}

    def name(self, key: StudyKey, label: str) -> str:
        """Return the name of a study: that of the stored one, else a free one.

        Args:
            key: The tuning.
            label: The key of its combination with the number of the study, see `study_label`.
        """
        if key not in self._names:
            self._names[key] = next(filter(self._is_free, _candidates(key, label)))
        return self._names[key]

    def _is_free(self, name: str) -> bool:
        """Return whether no study has a name; one without attributes was left by a crash."""
        study = self._studies.get(name)
        if study is None:
            return True
        return key_of(study) is None and self._storage.get_n_trials(study._study_id) == 0


def _candidates(key: StudyKey, label: str) -> Iterator[str]:
    name = f"{key.experiment}/{label}"
    yield name
    for length in range(SHORTEST_SUFFIX, len(key.combination_id) + 1):
        yield f"{name} {key.combination_id[:length]}"
