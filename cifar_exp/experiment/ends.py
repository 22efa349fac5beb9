"""The trainings at the ends of a search space."""

from __future__ import annotations

from typing import Literal

from cifar_exp.experiment.combination import Combination, TrialConfig
from cifar_exp.experiment.definition import Experiment
from cifar_exp.experiment.space import Range


def config_at(
    end: Literal["low", "high"], experiment: Experiment, combination: Combination, batch_size: int
) -> TrialConfig:
    """Return a training of a combination with the low or high end of every searched range."""
    values = {
        name: getattr(searched, end)
        for name, searched in experiment.space(combination).items()
        if isinstance(searched, Range)
    }
    return experiment.trial(combination, {**values, "batch_size": batch_size}, experiment.seed)
