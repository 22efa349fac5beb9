"""The losses: each takes logits and integer labels and gives one number to minimise.

Each is a class with a name, in a module of this folder: the table is made of them.
"""

from cifar_exp.components.losses.base import Loss
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
LOSSES: dict[str, type[Loss]] = table_of(Loss)  # type: ignore[type-abstract]  # it is a base

__all__ = ["LOSSES", "Loss"]
