"""The hash of a definition."""

from __future__ import annotations

import hashlib
from typing import Any

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment.definition import Experiment


def definition_hash(experiment: Experiment, data: Dataset) -> str:
    """Return a hash that differs between definitions with different computations or data."""
    search, confirm = experiment.search, experiment.confirm
    left_out: Any = {
        "dataset": True,
        "precision": True,
        "search": search.uncounted(dict(search)),
        "confirm": confirm.uncounted(dict(confirm)),
    }
    definition = experiment.model_dump_json(exclude=left_out)
    text = f"{data.fingerprint} {experiment.arithmetic} {definition}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
