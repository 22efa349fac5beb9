"""Components of a definition: losses, optimizers, schedules, networks, data sets, metrics, ..."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

_TABLES = {
    "losses": ("losses", "LOSSES"),
    "optimizers": ("optimizers", "OPTIMIZERS"),
    "schedules": ("schedules", "SCHEDULES"),
    "models": ("models.networks", "MODELS"),
    "datasets": ("datasets", "DATASETS"),
    "augmentations": ("augmentations", "AUGMENTATIONS"),
    "samplers": ("samplers", "SAMPLERS"),
    "pruners": ("pruners", "PRUNERS"),
    "metrics": ("metrics.metrics", "METRICS"),
}
KINDS = tuple(_TABLES)
"""The kinds of components."""

WORDS = {
    "losses": "loss",
    "optimizers": "optimizer",
    "models": "model",
    "datasets": "dataset",
    "augmentations": "augmentation",
    "schedules": "schedule",
}
"""The kinds that plug-ins can add to, with the word for one of them."""
BASES = {
    "losses": ("losses.base", "Loss"),
    "optimizers": ("optimizers.base", "Optimizer"),
    "models": ("models.networks.base", "Model"),
    "schedules": ("schedules.base", "Schedule"),
    "datasets": ("datasets.source", "DatasetChoice"),
    "augmentations": ("augmentations", "Augmentation"),
}
"""Module and name of the base class of each kind."""


def components_of(kind: str) -> Mapping[str, Any]:
    """Return the components of a kind by name; only modules of that kind are imported."""
    module, name = _TABLES[kind]
    found: Mapping[str, Any] = getattr(
        importlib.import_module(f"cifar_exp.components.{module}"), name
    )
    return found
