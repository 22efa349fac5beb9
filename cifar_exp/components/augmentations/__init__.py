"""Augmentations: random transformations of a batch of training images.

Each augmentation is a class with a name, in a module of this folder. `AUGMENTATIONS` is built from
these classes.
"""

from cifar_exp.components.augmentations.base import Augmentation
from cifar_exp.components.table import import_all, table_of

import_all(__name__)
AUGMENTATIONS: dict[str, type[Augmentation]] = table_of(Augmentation)

__all__ = ["AUGMENTATIONS", "Augmentation"]
