"""Networks: each builds a torch module for images of a given shape.

Each network is a class with a name, in a module of this folder. `MODELS` is built from these
classes; those of libraries are named by a prefix, such as `torchvision:`.
"""

from cifar_exp.components.models.networks.base import Model
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
MODELS: dict[str, type[Model]] = table_of(Model)  # type: ignore[type-abstract]  # a base class

__all__ = ["MODELS", "Model"]
