"""Rank losses and optimizers for an image classification task, all tuned with the same budget.

`load` reads a definition, `Experiment` builds one, `run` tunes, confirms and ranks, `compare` reads
the ranking again, `train` trains one network. `loss`, `optimizer`, `network` and `dataset` mark the
components of a plug-in. What `__all__` names is public, see docs/python.md.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from cifar_exp.components.plugins.marks import dataset, loss, network, optimizer
from cifar_exp.errors import BadInput, TrainingFailed, Unavailable

if TYPE_CHECKING:
    from cifar_exp.api.comparison import compare
    from cifar_exp.api.curves import read_curves
    from cifar_exp.api.definition import load, load_plugins
    from cifar_exp.api.ranking import Ranking, RanksAcross
    from cifar_exp.api.sweep import run
    from cifar_exp.api.training import train
    from cifar_exp.experiment import Experiment
    from cifar_exp.training.loop import EpochMetrics

__all__ = [
    "BadInput",
    "EpochMetrics",
    "Experiment",
    "Ranking",
    "RanksAcross",
    "TrainingFailed",
    "Unavailable",
    "compare",
    "dataset",
    "load",
    "load_plugins",
    "loss",
    "network",
    "optimizer",
    "read_curves",
    "run",
    "train",
]

_MODULES = {
    "EpochMetrics": "training.loop",
    "Experiment": "experiment",
    "Ranking": "api.ranking",
    "RanksAcross": "api.ranking",
    "compare": "api.comparison",
    "load": "api.definition",
    "load_plugins": "api.definition",
    "read_curves": "api.curves",
    "run": "api.sweep",
    "train": "api.training",
}
"""Imported when they are used first, as torch and MLflow take seconds to load."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # of tqdm, in a notebook
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
