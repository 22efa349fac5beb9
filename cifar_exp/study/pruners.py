"""Optuna's pruners, as a definition names them."""

from __future__ import annotations

from typing import cast

import optuna
from optuna.pruners import BasePruner

from cifar_exp.components.pruners import Pruner


def make(pruner: type[Pruner], epochs: int) -> BasePruner:
    """Return the pruner of a study whose whole trials have so many epochs."""
    made = getattr(optuna.pruners, pruner.optuna_class)
    return cast("BasePruner", made(**pruner.arguments(epochs)))
