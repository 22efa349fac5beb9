"""Creates Optuna's pruners from a definition."""

from __future__ import annotations

from typing import cast

import optuna
from optuna.pruners import BasePruner

from cifar_exp.components.pruners import Pruner


def make(pruner: type[Pruner], epochs: int) -> BasePruner:
    """Return the Optuna pruner of a study whose complete trials have `epochs` epochs."""
    pruner_class = getattr(optuna.pruners, pruner.optuna_class)
    return cast("BasePruner", pruner_class(**pruner.arguments(epochs)))
