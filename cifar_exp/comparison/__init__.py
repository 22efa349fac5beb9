"""The ranking of an experiment's combinations: pure functions on the records of its runs."""

from cifar_exp.comparison.method import Method
from cifar_exp.comparison.ranking import Ranking, confirmed, confirmed_curves, rank
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.rows import best_trial, confirmations, trainings_of
from cifar_exp.comparison.time_to_target import Curve, Curves

__all__ = [
    "Curve",
    "Curves",
    "Method",
    "Ranking",
    "Row",
    "best_trial",
    "confirmations",
    "confirmed",
    "confirmed_curves",
    "rank",
    "trainings_of",
]
