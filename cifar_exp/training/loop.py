"""The training of one network, an epoch at a time, and its evaluation.

`train` is a generator: it yields what each epoch measured, and whoever iterates decides what to
log and when to stop. Images stay uint8 until a whole batch of them enters the network.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import torch

from cifar_exp import seeds
from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset, Split
from cifar_exp.components.losses import Loss
from cifar_exp.components.metrics.scores import Evaluation, Scores, examine
from cifar_exp.components.models import build
from cifar_exp.components.models.onednn import weight_format
from cifar_exp.components.precision import Precision
from cifar_exp.experiment import TrialConfig
from cifar_exp.training.loader import Batch, batches

EVALUATION_BATCH = 500
STEPS_BETWEEN_CHECKS = 50
WARM_UP_IMAGES = 8

_warm: set[str] = set()
"""The networks that this process has trained."""


class Diverged(Exception):  # noqa: N818 - an outcome of training, not a fault
    """The training loss or the network's outputs are no finite numbers any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochMetrics:
    """What one epoch measured; `seconds` is wall time with validation, `epoch` counts from 1."""

    epoch: int
    train_loss: float
    val: Scores
    seconds: float
    images_per_second: float


def device() -> torch.device:
    """Return the device that training uses here: a CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build_model(config: TrialConfig, data: Dataset) -> torch.nn.Module:
    """Return the untrained network of a training; its weights depend on the seed alone."""
    model = initial_model(config.model, data, config.seed)
    return model.to(device()).to(memory_format=weight_format(model, device()))


def initial_model(name: str, data: Dataset, seed: int) -> torch.nn.Module:
    """Return a network for the images and classes of a data set, on the CPU.

    Raises:
        ValueError: The network cannot take such images.
    """
    return build.build(
        name,
        mean=data.mean,
        std=data.std,
        size=data.size,
        num_classes=data.num_classes,
        seed=seed,
    )


def build_optimizer(model: torch.nn.Module, config: TrialConfig) -> torch.optim.Optimizer:
    """Return the optimizer of a training, before its first step."""
    return config.optimizer_settings.build(model, config.lr)


def train(
    model: torch.nn.Module,
    config: TrialConfig,
    data: Dataset,
    optimizer: torch.optim.Optimizer | None = None,
    epochs_done: int = 0,
) -> Iterator[EpochMetrics]:
    """Train a network in place and yield the metrics of each epoch, validated at its end.

    The images stay on the device from start to end, and within an epoch nothing waits for a GPU.
    Seconds and images per second are wall time on this machine.

    Args:
        model: The network; it is as it was after `epochs_done` epochs.
        config: The training.
        data: The data set.
        optimizer: The network's, as it was after those epochs; by default a new one.
        epochs_done: Epochs that are not trained any more.

    Raises:
        Diverged: The loss or the validation outputs are not finite.
    """
    loss = config.loss_settings
    augment = AUGMENTATIONS[config.augment]()
    optimizer = optimizer or build_optimizer(model, config)
    forward = _compiled(model) if config.compile else model
    train_split, val_split = on_device(data.train), on_device(data.val)
    for epoch in range(epochs_done + 1, config.epochs + 1):
        started = time.perf_counter()
        torch.manual_seed(seeds.derive("epoch", config.seed, epoch))  # dropout's draws
        batches_of_epoch = batches(train_split, augment, config.batch_size, config.seed, epoch)
        model.train()
        train_loss = _train_epoch(forward, loss, optimizer, batches_of_epoch, config.precision)
        trained = time.perf_counter()
        val = evaluate(model, loss, val_split, config.precision).scores
        yield EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val=val,
            seconds=time.perf_counter() - started,
            images_per_second=len(data.train) / (trained - started),
        )


def warm_up(config: TrialConfig, data: Dataset) -> None:
    """Train on a few images, once for each network that this process trains.

    The first step of a process loads libraries and sets kernels up, which can take longer than a
    short training. Whoever measures a training calls this first: else the first one looks slow.
    """
    if config.model in _warm:
        return
    _warm.add(config.model)
    few = replace(data, train=data.train.first(WARM_UP_IMAGES), val=data.val.first(WARM_UP_IMAGES))
    once = config.model_copy(update={"epochs": 1, "compile": False})
    with suppress(Exception, SystemExit):  # the training itself will meet it, and record it
        list(train(initial_model(config.model, few, config.seed).to(device()), once, few))


def on_device(split: Split) -> Split:
    """Return a split whose tensors are where training takes place; on a CPU that is itself."""
    return Split(images=split.images.to(device()), labels=split.labels.to(device()))


@torch.no_grad()
def evaluate(
    model: torch.nn.Module, loss: Loss, split: Split, precision: Precision = "fp32"
) -> Evaluation:
    """Pass a whole split once through a network and score it, with the loss's probabilities.

    Raises:
        Diverged: An output is not finite.
    """
    model.eval()
    outputs = []
    for images in split.images.split(EVALUATION_BATCH):
        with _autocast(precision):
            outputs.append(model(images.to(device())).float())
    logits = torch.cat(outputs).cpu()
    if not logits.isfinite().all():
        raise Diverged("an output of the network is not finite")
    evaluation = examine(logits, split.labels.cpu(), loss)
    if not all(map(math.isfinite, evaluation.scores.named("").values())):
        raise Diverged("a score of the network is not finite")
    return evaluation


def _compiled(model: torch.nn.Module) -> torch.nn.Module:
    """Return the network compiled, on a GPU into CUDA graphs: one for each size of batch."""
    return cast("torch.nn.Module", torch.compile(model, mode="reduce-overhead", dynamic=False))


def _train_epoch(
    forward: Callable[[torch.Tensor], torch.Tensor],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    batches_of_epoch: Iterator[Batch],
    precision: Precision,
) -> float:
    """Take one pass over the batches; return the mean loss over all of their examples."""
    total = torch.zeros((), device=device())
    autocast = _autocast(precision)  # once: to ask for the device can take longer than a layer
    num_images = 0
    for step, (images, labels) in enumerate(batches_of_epoch, start=1):
        with autocast:
            logits = forward(images)
        batch_loss = loss(logits.float(), labels)
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        total += batch_loss.detach() * len(labels)
        num_images += len(labels)
        if step % STEPS_BETWEEN_CHECKS == 0 and total.device.type == "cpu":
            _check_finite(total)  # elsewhere, reading the total would wait for the device
    _check_finite(total)
    return total.item() / num_images


def _autocast(precision: Precision) -> torch.autocast:
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")


def _check_finite(total_loss: torch.Tensor) -> None:
    if not total_loss.isfinite():
        raise Diverged("the training loss is not finite")
