"""Programs of several networks, without a trainer."""

from __future__ import annotations

from collections.abc import Sequence

from cifar_exp.components.datasets import Dataset
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import hardware, untrained
from cifar_exp.training.group.program import Program


def program_of(configs: Sequence[TrialConfig], data: Dataset) -> Program:
    """Return the program of untrained networks, whose trainings are sorted as a program needs."""
    initial = untrained.initial_model(configs[0].model, data, configs[0].seed)
    return Program(
        configs, initial, hardware.on_device(data.train), [None] * len(configs), data.num_classes
    )
