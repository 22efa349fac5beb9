"""The measured trainings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.contestants import trial_config
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.experiment import TrialConfig
from cifar_exp.training.group.program import in_order
from cifar_exp.training.messages import Group, Training

NETWORK = "seed_cnn_relu"

MIXED: Mapping[str, tuple[str, Mapping[str, Any], float]] = {
    "sgd": ("sgd", {}, 0.01),
    "momentum": ("sgd", {"momentum": 0.9}, 0.001),
    "adamw": ("adamw", {}, 0.001),
    "muon": ("muon", {}, 0.001),
}
"""Optimizers with their settings and learning rates."""


def plain(batch_size: int, number: int) -> list[TrialConfig]:
    """Return trainings with cross-entropy and SGD, each with a different learning rate."""
    config = trial_config(NETWORK, "bf16", batch_size)
    return [config.model_copy(update={"lr": config.lr * _spread(i)}) for i in range(number)]


def mixed(batch_size: int, number: int) -> list[TrialConfig]:
    """Return trainings with all losses and several optimizers, sorted as a program needs."""
    pairs = list(product(MIXED, LOSSES))
    configs = {
        index: with_other(loss, optimizer, batch_size, _spread(index))
        for index, (optimizer, loss) in enumerate(pairs[i % len(pairs)] for i in range(number))
    }
    return [configs[index] for index in in_order(configs)]


def with_other(
    loss: str, optimizer: str, batch_size: int, lr_factor: float = 1.0, **changes: Any
) -> TrialConfig:
    """Return a training with a loss and one of the optimizers of MIXED."""
    name, settings, lr = MIXED[optimizer]
    config = trial_config(NETWORK, "bf16", batch_size)
    return config.model_copy(
        update={
            "loss": loss,
            "loss_settings": LOSSES[loss](),
            "optimizer": name,
            "optimizer_settings": OPTIMIZERS[name](**settings),
            "lr": lr * lr_factor,
            **changes,
        }
    )


def group_of(configs: list[TrialConfig]) -> Group:
    """Return the group of some trainings, without checkpoints."""
    trainings = tuple(Training(name=str(i), config=c) for i, c in enumerate(configs))
    return Group(trainings=trainings, data_path=Path(), folder=Path())


def _spread(index: int) -> float:
    """Return a factor of the learning rate, so that otherwise equal trainings differ."""
    return 1 + index / 1000
