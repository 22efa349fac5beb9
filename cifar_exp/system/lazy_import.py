"""Lazy imports: modules that are imported at their first use.

Importing torch takes seconds; `--help` and the report of an invalid definition must be fast. A lazy
entry in `sys.modules` does not work, as code that iterates over the loaded modules, such as
`inspect`, would load it in the middle of other imports.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LazyModule(ModuleType):
    """A proxy of a module, which is imported at the first use of an attribute."""

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module and cache it."""
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
