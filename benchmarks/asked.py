"""The sweep that a benchmark runs."""

from __future__ import annotations

from pathlib import Path

from cifar_exp import experiment
from cifar_exp.sweep.sweep import Sweep


def sweep_of(
    definition: str, tracking_uri: str, folder: Path, *, workers: int = 1, threads: int = 1
) -> Sweep:
    """Return the sweep of a definition; its studies are stored in `optuna.db` in a folder."""
    return Sweep(
        experiment=experiment.read(definition),
        definition=definition,
        tracking_uri=tracking_uri,
        storage_url=f"sqlite:///{folder / 'optuna.db'}",
        workers=workers,
        threads=threads,
    )
