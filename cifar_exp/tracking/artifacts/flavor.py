"""MLflow's flavor for torch, which writes a network as a model.

Where Lightning is installed, MLflow imports it along for an autologging that is not used here. That
would double the time that a process takes to start.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

AUTOLOGGING = "mlflow.pytorch._lightning_autolog"


def _without_lightning() -> ModuleType:
    """Import the flavor as if Lightning were not there; a later use of it imports it as ever."""
    hide = AUTOLOGGING not in sys.modules
    if hide:
        sys.modules[AUTOLOGGING] = None  # type: ignore[assignment]  # its import fails, which MLflow allows
    try:
        return importlib.import_module("mlflow.pytorch")
    finally:
        if hide:
            del sys.modules[AUTOLOGGING]


flavor = _without_lightning()
