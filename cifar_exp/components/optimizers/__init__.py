"""The optimizers: each builds a torch optimizer for a model at a learning rate.

Each is a class with a name, in a module of this folder: the table is made of them.
"""

from cifar_exp.components.optimizers.base import Optimizer
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
OPTIMIZERS: dict[str, type[Optimizer]] = table_of(Optimizer)  # type: ignore[type-abstract]  # it is a base

__all__ = ["OPTIMIZERS", "Optimizer"]
