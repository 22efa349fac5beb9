"""The training of one network, an epoch at a time, and its evaluation.

`train` is a generator: it yields what each epoch measured, and whoever iterates decides what to
log and when to stop. Images stay uint8 until a whole batch of them enters the network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cifar_exp import models, seeds
from cifar_exp.datasets import Dataset, Split
from cifar_exp.evaluation import Evaluation, Scores, examine
from cifar_exp.experiment import Precision, TrialConfig
from cifar_exp.losses import Loss

EVALUATION_BATCH = 500
STEPS_BETWEEN_CHECKS = 50  # a check waits for the device, so not every step has one


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
    return model.to(device()).to(memory_format=torch.channels_last)


def initial_model(name: str, data: Dataset, seed: int) -> torch.nn.Module:
    """Return a network for the images and classes of a data set, on the CPU.

    Raises:
        ValueError: The network cannot take such images.
    """
    return models.build(
        name,
        mean=data.mean,
        std=data.std,
        size=data.size,
        num_classes=data.num_classes,
        seed=seed,
    )


def train(model: torch.nn.Module, config: TrialConfig, data: Dataset) -> Iterator[EpochMetrics]:
    """Train a network in place and yield the metrics of each epoch, validated at its end.

    Seconds and images per second are wall time on this machine.

    Raises:
        Diverged: The loss or the validation outputs are not finite.
    """
    loss = config.loss_settings
    optimizer = config.optimizer_settings.build(model, config.lr)
    for epoch in range(1, config.epochs + 1):
        started = time.perf_counter()
        order = epoch_order(len(data.train.labels), config.seed, epoch)
        torch.manual_seed(seeds.derive("epoch", config.seed, epoch))  # dropout's draws
        batches = _batches(data.train, order, config.batch_size)
        train_loss = _train_epoch(model, loss, optimizer, batches, config.precision)
        trained = time.perf_counter()
        val = evaluate(model, loss, data.val, config.precision).scores
        yield EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val=val,
            seconds=time.perf_counter() - started,
            images_per_second=len(order) / (trained - started),
        )


def epoch_order(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the order of the training images, a function of seed and epoch alone."""
    generator = torch.Generator().manual_seed(seeds.derive("order", seed, epoch))
    return torch.randperm(num_images, generator=generator)


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
            outputs.append(model(images.to(device())).float().cpu())
    logits = torch.cat(outputs)
    if not logits.isfinite().all():
        raise Diverged("an output of the network is not finite")
    return examine(logits, split.labels, loss)


def _train_epoch(
    model: torch.nn.Module,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[tuple[torch.Tensor, torch.Tensor]],
    precision: Precision,
) -> float:
    """Take one pass over the batches; return the mean loss over all of their examples."""
    model.train()
    total = torch.zeros((), device=device())
    num_images = 0
    for step, (images, labels) in enumerate(batches, start=1):
        with _autocast(precision):
            logits = model(images)
        batch_loss = loss(logits.float(), labels)
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        total += batch_loss.detach() * len(labels)
        num_images += len(labels)
        if step % STEPS_BETWEEN_CHECKS == 0:
            _check_finite(total)
    _check_finite(total)
    return total.item() / num_images


def _batches(
    split: Split, order: torch.Tensor, batch_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the split's images (uint8, channels last in memory) and labels in this order."""
    rows = split.images.permute(0, 2, 3, 1)  # contiguous: a batch is copied row by row
    for chosen in order.split(batch_size):
        if len(chosen) == 1 < batch_size:
            continue  # batch normalisation cannot work on one image left over
        images = rows.index_select(0, chosen).permute(0, 3, 1, 2)
        labels = split.labels.index_select(0, chosen)
        yield images.to(device()), labels.to(device())


def _autocast(precision: Precision) -> torch.autocast:
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")


def _check_finite(total_loss: torch.Tensor) -> None:
    if not total_loss.isfinite():
        raise Diverged("the training loss is not finite")
