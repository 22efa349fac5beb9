"""The ranking of an experiment's combinations: pure functions on the records of its runs."""

from cifar_exp.comparison.counted import counted_trainings
from cifar_exp.comparison.method import Method
from cifar_exp.comparison.ranking import Ranking, confirmed_curves, rank
from cifar_exp.comparison.replicates import (
    best_trial,
    best_trials,
    confirmations,
    decide_on,
    num_trials,
    replicates,
)
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.time_to_target import Curve, Curves

__all__ = [
    "Curve",
    "Curves",
    "Method",
    "Ranking",
    "Row",
    "best_trial",
    "best_trials",
    "confirmations",
    "confirmed_curves",
    "counted_trainings",
    "decide_on",
    "num_trials",
    "rank",
    "replicates",
]
