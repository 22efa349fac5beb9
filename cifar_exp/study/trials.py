"""The studies of an experiment, read and told from outside of their tuning."""

from __future__ import annotations

from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from cifar_exp.records import RunRecord
from cifar_exp.study.storage import connect


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyTrial:
    """One trial of a study."""

    storage_url: str
    study: str
    combination_id: str
    number: int
    finished: bool


def read_trials(storage_url: str, experiment: str) -> list[StudyTrial]:
    """Read the trials of all studies of an experiment.

    Raises:
        StudyError: The storage cannot be used.
    """
    storage = connect(storage_url)
    return [
        StudyTrial(
            storage_url=storage_url,
            study=name,
            combination_id=name.rpartition(" ")[2],
            number=trial.number,
            finished=trial.state.is_finished(),
        )
        for name in optuna.get_all_study_names(storage)
        if name.startswith(f"{experiment}/")
        for trial in storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)
    ]


def tell(trial: StudyTrial, record: RunRecord) -> None:
    """End a trial that is under way in its study as its run in MLflow has ended."""
    storage = connect(trial.storage_url)
    study = optuna.load_study(study_name=trial.study, storage=storage)
    there = study.get_trials(deepcopy=False)[trial.number]
    if there.state == TrialState.WAITING:  # such a one cannot be told
        storage.set_trial_state_values(there._trial_id, TrialState.RUNNING)
    state = TrialState[str(record.state)]
    value = record.metrics.get("val_accuracy") if state == TrialState.COMPLETE else None
    study.tell(trial.number, value, state=state)
