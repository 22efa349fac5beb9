"""Everything that uses Optuna: storage, samplers, pruners and the tuning of a combination."""

from cifar_exp.study.storage import StudyError, connect, resolve_url
from cifar_exp.study.stored import StoredStudy, StudyState, read_states
from cifar_exp.study.tuning import (
    TrialResult,
    Tuning,
    block_size,
    identity_and_number,
    study_name,
    trials_per_block,
)

__all__ = [
    "StoredStudy",
    "StudyError",
    "StudyState",
    "TrialResult",
    "Tuning",
    "block_size",
    "connect",
    "identity_and_number",
    "read_states",
    "resolve_url",
    "study_name",
    "trials_per_block",
]
