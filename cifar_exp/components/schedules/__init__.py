"""Schedules of the learning rate: a factor for each step, as a closed form.

Each schedule is a class with a name, in a module of this folder. `SCHEDULES` is built from these
classes.
"""

from cifar_exp.components.schedules.base import Schedule
from cifar_exp.components.schedules.decay import Constant
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
SCHEDULES: dict[str, type[Schedule]] = table_of(Schedule)  # type: ignore[type-abstract]  # a base class

__all__ = ["SCHEDULES", "Constant", "Schedule"]
