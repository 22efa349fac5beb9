"""The ranking of an experiment's combinations: pure functions on the records of its runs."""

from cifar_exp.comparison.formats import to_csv, to_json, to_markdown
from cifar_exp.comparison.ranking import Ranking, confirmed, confirmed_curves, rank
from cifar_exp.comparison.records import best_trial, confirmations, trainings_of
from cifar_exp.comparison.row import Row
from cifar_exp.comparison.table import cells, headers
from cifar_exp.comparison.target import Curve, Curves
from cifar_exp.comparison.yardstick import Method

__all__ = [
    "Curve",
    "Curves",
    "Method",
    "Ranking",
    "Row",
    "best_trial",
    "cells",
    "confirmations",
    "confirmed",
    "confirmed_curves",
    "headers",
    "rank",
    "to_csv",
    "to_json",
    "to_markdown",
    "trainings_of",
]
