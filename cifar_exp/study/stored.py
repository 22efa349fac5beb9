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

from cifar_exp.study.storage import connect
from cifar_exp.study.tuning import TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyState:
    """The states of the trials of a study in the storage."""

    name: str
    states: tuple[str, ...]
    """Optuna's name of the state of each trial."""


def read_states(storage_url: str, experiment: str) -> list[StudyState]:
    """Read the state of every trial of an experiment's studies.

    Raises:
        StudyError: The storage cannot be used.
    """
    storage = connect(storage_url)
    names = [n for n in optuna.get_all_study_names(storage) if n.startswith(f"{experiment}/")]
    return [
        StudyState(
            name=name,
            states=tuple(
                trial.state.name
                for trial in storage.get_all_trials(
                    storage.get_study_id_from_name(name), deepcopy=False
                )
            ),
        )
        for name in names
    ]


class StoredStudy:
    """A stored study, to which trials are added in the order of their numbers.

    It is created when it is first used.

    A trial is added once all trials before it have ended, as Optuna numbers trials by the order in
    which they are added.

    Args:
        storage: The Optuna storage.
        name: The name of the study.
        space: The search space.
    """

    def __init__(
        self, storage: BaseStorage, name: str, space: Mapping[str, BaseDistribution]
    ) -> None:
        self._storage = storage
        self._name = name
        self._space = dict(space)
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
        with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
            if study.metric_names is None:
                study.set_metric_names(["val_accuracy"])
        return study
