"""The note of a stored study, which optuna-dashboard shows; it is written without that package."""

from __future__ import annotations

from optuna.storages import BaseStorage

from cifar_exp.experiment import Combination, Experiment
from cifar_exp.study.names import StudyKey

VERSION = "dashboard:note_ver"
"""An attribute that optuna-dashboard increases whenever a user edits the note."""
BODY = "dashboard:note_str:0"
LONGEST_BODY = 2045
"""Of one attribute; longer notes have several."""
BEGINNING = "**Tuning of"


def save_note(storage: BaseStorage, study: str, body: str) -> None:
    """Set the note of a study, unless a user has written one or it is too long.

    Args:
        storage: The storage.
        study: The name of the study.
        body: The note in Markdown, which starts with `BEGINNING`.
    """
    study_id = storage.get_study_id_from_name(study)
    attributes = storage.get_study_system_attrs(study_id)
    version, present = attributes.get(VERSION, 0), str(attributes.get(BODY, ""))
    is_edited = version > 1 or (version == 1 and not present.startswith(BEGINNING))
    if is_edited or present == body or len(body) > LONGEST_BODY:
        return
    storage.set_study_system_attr(study_id, VERSION, 1)
    storage.set_study_system_attr(study_id, BODY, body)


def note(experiment: Experiment, combination: Combination, key: StudyKey, page: str | None) -> str:
    """Return the note of a tuning.

    Args:
        experiment: The definition.
        combination: The combination.
        key: The tuning.
        page: The address of its combination's runs in MLflow's UI, if it is known.
    """
    number = f", study {key.study}" if key.study > 1 else ""
    training = f"`{experiment.model.type}` on `{experiment.dataset.type}`"
    runs = "Its runs in MLflow" if page is None else f"[Its runs in MLflow]({page})"
    return f"""{BEGINNING} `{combination.name}`**{number} in the experiment `{experiment.name}`.
A trial is one training of {training}, for at most {experiment.epochs} epochs.
Its value is the accuracy on the validation split, after each epoch and at the end.

{runs} have everything else: `tags.combination_id = '{key.combination_id}'`.
The attribute `mlflow_run_id` of a trial is the id of its run.
"""
