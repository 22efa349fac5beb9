"""When a trial is given up early."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.trial import Trial

PRUNERS: dict[str, Callable[[int], optuna.pruners.BasePruner]] = {
    "none": lambda _: optuna.pruners.NopPruner(),
    "median": lambda _: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
    "hyperband": lambda epochs: optuna.pruners.HyperbandPruner(1, epochs, reduction_factor=3),
}
"""Each pruner by its name in a definition, made for so many epochs of a whole trial."""


def is_to_be_pruned(trial: Trial, epoch: int, epochs: int) -> bool:
    """Say whether to give up a trial after an epoch that it has reported; never after the last."""
    return epoch < epochs and trial.should_prune()
