"""Optimizers: settings from which a torch optimizer is built for a model and a learning rate.

Each optimizer is a class with a name, in a module of this folder. `OPTIMIZERS` is built from these
classes; those of libraries are named by a prefix, such as `timm:lion`.
"""

from cifar_exp.components.optimizers.base import Optimizer
from cifar_exp.components.optimizers.library import OptimizerTable
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
OPTIMIZERS: dict[str, type[Optimizer]] = OptimizerTable(table_of(Optimizer))  # type: ignore[type-abstract]  # a base class

__all__ = ["OPTIMIZERS", "Optimizer"]
