"""Modules that are imported when they are first used.

Importing torch takes seconds, and naming what can be trained must not: `--help` and a bad
definition are answered at once. A lazy entry in `sys.modules` would not do, since anything that
walks over the loaded modules, as `inspect` does, would load it half way through other imports.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """Stands for a module and imports it on the first use of one of its names."""

    def __getattr__(self, name: str) -> Any:
        """Return the name from the module, which is kept for the next time."""
        value = getattr(importlib.import_module(self.__name__), name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import numpy as np
    import torch
    import torchvision
else:
    np = LazyModule("numpy")
    torch = LazyModule("torch")
    torchvision = LazyModule("torchvision")

__all__ = ["LazyModule", "np", "torch", "torchvision"]
