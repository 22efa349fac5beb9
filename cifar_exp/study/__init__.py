"""Everything that uses Optuna: storage, samplers, pruners and the tuning of a combination."""

from cifar_exp.study.names import StudyKey, StudyNames
from cifar_exp.study.note import note, save_note
from cifar_exp.study.storage import StudyError, connect, resolve_url
from cifar_exp.study.stored import StoredStudy, StudyState, read_states
from cifar_exp.study.tuning import (
    TrialResult,
    Tuning,
    block_size,
    trials_per_block,
    tuning_name,
)

__all__ = [
    "StoredStudy",
    "StudyError",
    "StudyKey",
    "StudyNames",
    "StudyState",
    "TrialResult",
    "Tuning",
    "block_size",
    "connect",
    "note",
    "read_states",
    "resolve_url",
    "save_note",
    "trials_per_block",
    "tuning_name",
]
