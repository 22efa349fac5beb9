"""The initial state of a training: network, optimizer, loss and average of the weights."""

from __future__ import annotations

import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.models import Model, build
from cifar_exp.components.models.onednn import weight_format
from cifar_exp.experiment import TrialConfig
from cifar_exp.training.average import Average
from cifar_exp.training.criterion import Criterion
from cifar_exp.training.hardware import device, on_device
from cifar_exp.training.sharpness import SharpnessAware


def build_model(config: TrialConfig, data: Dataset) -> torch.nn.Module:
    """Return the untrained network of a training; its weights depend on the seed only."""
    model = initial_model(config.model, data, config.seed)
    return model.to(device()).to(memory_format=weight_format(model, device()))


def initial_model(settings: Model, data: Dataset, seed: int) -> torch.nn.Module:
    """Return an untrained network for the images and classes of a data set, on the CPU.

    Raises:
        ValueError: The network cannot take such images.
    """
    model = build(
        settings,
        mean=data.mean,
        std=data.std,
        size=data.size,
        num_classes=data.num_classes,
        seed=seed,
    )
    if settings.weights is None:
        settings.initialise(model, data.train.images)
    return model


def build_optimizer(model: torch.nn.Module, config: TrialConfig) -> torch.optim.Optimizer:
    """Return the optimizer of a training, in its initial state."""
    return config.optimizer_settings.build(model, config.lr)


def build_criterion(config: TrialConfig, data: Dataset) -> Criterion:
    """Return the loss of a training, in its initial state."""
    return Criterion(config.loss_settings, on_device(data.train), data.num_classes)


def build_average(model: torch.nn.Module, config: TrialConfig) -> Average | None:
    """Return the moving average of a network's weights before the first step, if there is one."""
    return None if config.ema is None else Average(model, config.ema)


def build_sharpness(model: torch.nn.Module, config: TrialConfig) -> SharpnessAware | None:
    """Return what moves the weights for sharpness-aware minimisation, if it is used."""
    rho = config.optimizer_settings.sam
    return SharpnessAware(model, rho) if rho > 0 else None
