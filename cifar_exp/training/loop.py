"""Training of one network, epoch by epoch.

`train` is a generator: it yields the metrics of each epoch, and the caller decides what to log and
when to stop. Images stay uint8 until a batch enters the network.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from cifar_exp import seeds
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.scores import Scores
from cifar_exp.components.models import Model
from cifar_exp.components.precision import float32_products
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import evaluation, untrained
from cifar_exp.training.average import Average
from cifar_exp.training.criterion import Criterion
from cifar_exp.training.hardware import autocast, device, on_device
from cifar_exp.training.learning_rate import LearningRate
from cifar_exp.training.loader import Batch, batches, num_batches, progress_of
from cifar_exp.training.sharpness import SharpnessAware
from cifar_exp.training.statistics import refresh

STEPS_BETWEEN_CHECKS = 50
WARM_UP_IMAGES = 8

_warm: set[Model] = set()
"""The networks that are warmed up in this process."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochMetrics:
    """Metrics of one epoch; `epoch` counts from 1, `seconds` is wall time including validation."""

    epoch: int
    train_loss: float
    val: Scores
    seconds: float
    images_per_second: float
    val_ema: Scores | None = None
    """The scores of the average of the weights, if there is one."""


def train(
    model: torch.nn.Module,
    config: TrialConfig,
    data: Dataset,
    optimizer: torch.optim.Optimizer | None = None,
    epochs_done: int = 0,
    criterion: Criterion | None = None,
    average: Average | None = None,
) -> Iterator[EpochMetrics]:
    """Train a network in place; validate after each epoch and yield its metrics.

    The images stay on the device, and no step within an epoch waits for the GPU. Seconds and images
    per second are wall time on this machine.

    Args:
        model: The network, in its state after `epochs_done` epochs.
        config: The training.
        data: The data set.
        optimizer: The optimizer, in its state after those epochs; default: a new one.
        epochs_done: Number of epochs that are done already.
        criterion: The loss, in its state after those epochs; default: a new one.
        average: The average of the weights likewise.

    Raises:
        Diverged: The loss or the validation outputs are not finite.
    """
    loss = config.loss_settings
    optimizer = optimizer or untrained.build_optimizer(model, config)
    criterion = criterion or untrained.build_criterion(config, data)
    average = average or untrained.build_average(model, config)
    forward = _compiled(model) if config.compile else model
    train_split, val_split = on_device(data.train), on_device(data.val)
    num_steps = num_batches(len(train_split), config.batch_size)
    rate = LearningRate(optimizer, config.schedule_settings, num_steps, config.epochs)
    sharpness = untrained.build_sharpness(model, config)
    backward = Backward(
        forward=forward,
        criterion=criterion,
        optimizer=optimizer,
        computing=autocast(config.precision),
    )
    for epoch in range(epochs_done + 1, config.epochs + 1):
        started = time.perf_counter()
        _seed_global_generators(config.seed, epoch)
        batches_of_epoch = batches(
            train_split, config.augment, config.batch_size, config.seed, epoch, data.num_classes
        )
        progress = [progress_of(epoch, step, num_steps, config.epochs) for step in range(num_steps)]
        rate.begin(epoch)
        config.optimizer_settings.to_training(optimizer)
        model.train()
        # Not around the `yield`: another training of this process may have another precision.
        with float32_products(config.precision):
            steps = zip(batches_of_epoch, progress, strict=True)
            train_loss = _train_epoch(backward, rate, steps, average, sharpness)
            if config.optimizer_settings.to_evaluation(optimizer):
                with backward.computing:
                    refresh(model, _images(config, data, epoch))
        trained = time.perf_counter()
        val = evaluation.evaluate(model, loss, val_split, config.precision).scores
        val_ema = None
        if average is not None:
            val_ema = evaluation.evaluate(average.network, loss, val_split, config.precision).scores
        yield EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val=val,
            seconds=time.perf_counter() - started,
            images_per_second=len(data.train) / (trained - started),
            val_ema=val_ema,
        )


def _seed_global_generators(seed: int, epoch: int) -> None:
    """Seed the generators of dropout, and those that optimizers of libraries and plug-ins use."""
    derived = seeds.derive("epoch", seed, epoch)
    torch.manual_seed(derived)
    random.seed(derived)
    np.random.seed(derived)


def warm_up(config: TrialConfig, data: Dataset) -> None:
    """Train on a few images, once for each network in this process.

    The first step of a process loads libraries and sets up kernels, which can take longer than a
    short training. Call this before a training is timed.
    """
    if config.model in _warm:
        return
    _warm.add(config.model)
    subset = replace(
        data, train=data.train.first(WARM_UP_IMAGES), val=data.val.first(WARM_UP_IMAGES)
    )
    warm_up_config = config.model_copy(update={"epochs": 1, "compile": False})
    with suppress(Exception, SystemExit):  # the training itself fails the same way
        list(
            train(
                untrained.initial_model(config.model, subset, config.seed).to(device()),
                warm_up_config,
                subset,
            )
        )


def _compiled(model: torch.nn.Module) -> torch.nn.Module:
    """Return the compiled network; on a GPU it uses one CUDA graph per batch size."""
    return cast("torch.nn.Module", torch.compile(model, mode="reduce-overhead", dynamic=False))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Backward:
    """Computes the loss of a batch and the gradients of the weights."""

    forward: Callable[[torch.Tensor], torch.Tensor]
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    computing: torch.autocast
    """Made once, as a query of the device can take longer than a layer."""

    def __call__(self, batch: Batch, progress: float) -> torch.Tensor:
        """Return the mean loss; `progress` is the share of the training that is done."""
        with self.computing:
            logits = self.forward(batch.images)
        loss = self.criterion(logits.float(), batch, progress)
        self.optimizer.zero_grad()
        loss.backward()
        return loss.detach()


def _train_epoch(
    backward: Backward,
    rate: LearningRate,
    steps: Iterator[tuple[Batch, float]],
    average: Average | None,
    sharpness: SharpnessAware | None,
) -> float:
    """Train on the batches of an epoch; return the mean loss over all examples.

    Each batch is given with the share of the training that is done before it.
    """
    total = torch.zeros((), device=device())
    num_images = 0
    for step, (batch, progress) in enumerate(steps, start=1):
        rate.set(step - 1)
        batch_loss = backward(batch, progress)
        if sharpness is not None:
            with sharpness.perturbed(), backward.criterion.kept_memory():
                backward(batch, progress)
        backward.optimizer.step()
        if average is not None:
            average.update()
        total += batch_loss * len(batch.chosen)
        num_images += len(batch.chosen)
        if step % STEPS_BETWEEN_CHECKS == 0 and total.device.type == "cpu":
            _check_finite(total)  # on a GPU this would wait for the device
    _check_finite(total)
    return total.item() / num_images


def _images(config: TrialConfig, data: Dataset, epoch: int) -> Iterator[torch.Tensor]:
    """Return the batches of images of an epoch."""
    split, seed = on_device(data.train), config.seed
    for batch in batches(split, config.augment, config.batch_size, seed, epoch, data.num_classes):
        yield batch.images


def _check_finite(total_loss: torch.Tensor) -> None:
    if not total_loss.isfinite():
        raise evaluation.Diverged(evaluation.LOSS_NOT_FINITE)
