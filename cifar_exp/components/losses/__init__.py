"""Losses: functions of logits and integer labels that are minimised.

Each loss is a class with a name, in a module of this folder. `LOSSES` is built from these classes.
"""

from cifar_exp.components.losses.base import Loss
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
LOSSES: dict[str, type[Loss]] = table_of(Loss)  # type: ignore[type-abstract]  # a base class

__all__ = ["LOSSES", "Loss"]
