"""The study of one combination in the Optuna storage: a copy of its trials in MLflow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from cifar_exp.study.names import StudyKey, key_in, key_of
from cifar_exp.study.note import save_note
from cifar_exp.study.storage import StudyError, connect
from cifar_exp.study.tuning import TrialResult

OBJECTIVE = "validation accuracy"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyState:
    """The states of the trials of a study in the storage."""

    name: str
    key: StudyKey
    states: tuple[str, ...]
    """Optuna's name of the state of each trial."""


def read_states(storage_url: str, experiment: str) -> list[StudyState]:
    """Read the state of every trial of an experiment's studies.

    Raises:
        StudyError: The storage cannot be used.
    """
    storage = connect(storage_url)
    return [
        StudyState(
            name=study.study_name,
            key=key,
            states=tuple(
                trial.state.name
                for trial in storage.get_all_trials(study._study_id, deepcopy=False)
            ),
        )
        for study in storage.get_all_studies()
        if (key := key_of(study)) is not None and key.experiment == experiment
    ]


class StoredStudy:
    """A stored study, to which trials are added in the order of their numbers.

    It is created when it is first used.

    A trial is added once all trials before it have ended, as Optuna numbers trials by the order in
    which they are added.

    Args:
        storage: The Optuna storage.
        name: The name of the study.
        key: Which tuning it holds.
        space: The search space.
        note: Its note in Markdown.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        key: StudyKey,
        space: Mapping[str, BaseDistribution],
        note: str,
    ) -> None:
        self._storage = storage
        self._name = name
        self._key = key
        self._space = dict(space)
        self._note = note
        self._waiting: dict[int, tuple[TrialResult, str]] = {}
        self._study: optuna.Study | None = None
        self._states: list[str] = []

    def follow(self, results: Sequence[TrialResult], run_ids: Mapping[int | None, str]) -> None:
        """Add the trials in MLflow; if the study differs from them, create it again first."""
        recorded = {result.number: result.state for result in results}
        self._study = self._open()
        self._states = [trial.state.name for trial in self._study.get_trials(deepcopy=False)]
        if self._states != [recorded.get(number) for number in range(len(self._states))]:
            optuna.delete_study(study_name=self._name, storage=self._storage)
            self._study, self._states = self._open(), []
        for result in results[len(self._states) :]:
            self.add(result, run_ids[result.number])

    def add(self, result: TrialResult, run_id: str) -> None:
        """Add a trial that has ended, and the later trials that waited for it.

        If no trial was in MLflow before, trials of a study with the same name are removed first.
        """
        if self._study is None:
            self.follow((), {})
        self._waiting[result.number] = result, run_id
        while self._study is not None and (number := len(self._states)) in self._waiting:
            self._append(self._study, *self._waiting.pop(number))

    def _append(self, study: optuna.Study, result: TrialResult, run_id: str) -> None:
        study.add_trial(
            optuna.trial.create_trial(
                state=TrialState[result.state],
                value=result.val_accuracy,
                params=dict(result.params),
                distributions=self._space,
                intermediate_values=dict(result.accuracies),
                user_attrs={"mlflow_run_id": run_id},
            )
        )
        self._states.append(result.state)

    def _open(self) -> optuna.Study:
        study = optuna.create_study(
            storage=self._storage,
            study_name=self._name,
            direction="maximize",
            load_if_exists=True,
        )
        stored = study.user_attrs
        if not stored.keys().isdisjoint(self._key.attributes) and self._key != key_in(stored):
            raise StudyError(
                f"another sweep has just created the study {self._name}; run the same command again"
            )
        for name, value in self._key.attributes.items():
            if stored.get(name) != value:
                study.set_user_attr(name, value)
        with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
            if study.metric_names is None:
                study.set_metric_names([OBJECTIVE])
        save_note(self._storage, self._name, self._note)
        return study
