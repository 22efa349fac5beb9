"""MLflow's torch flavor, which saves a network as an MLflow model.

If Lightning is installed, MLflow also imports it for autologging, which is not used here. That
import would double the startup time of a process.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

AUTOLOGGING = "mlflow.pytorch._lightning_autolog"


def _without_lightning() -> ModuleType:
    """Import the flavor without Lightning; later imports of Lightning are not affected."""
    hide = AUTOLOGGING not in sys.modules
    if hide:
        sys.modules[AUTOLOGGING] = None  # type: ignore[assignment]  # makes the import fail, which MLflow handles
    try:
        return importlib.import_module("mlflow.pytorch")
    finally:
        if hide:
            del sys.modules[AUTOLOGGING]


flavor = _without_lightning()
