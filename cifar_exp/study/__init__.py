"""All of Optuna: the storage, the samplers and pruners, and the study of one combination."""

from cifar_exp.study.storage import StudyError, connect, default_url
from cifar_exp.study.trials import StudyTrial, read_trials, tell
from cifar_exp.study.tuning import tune

__all__ = ["StudyError", "StudyTrial", "connect", "default_url", "read_trials", "tell", "tune"]
