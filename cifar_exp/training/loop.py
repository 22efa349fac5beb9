"""Training and evaluation of one network.

`train` is a generator: it yields the metrics of each epoch, and the caller decides what to log and
when to stop. Images stay uint8 until a batch enters the network.
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
from cifar_exp.components.datasets import Dataset, Split
from cifar_exp.components.losses import Loss
from cifar_exp.components.metrics.scores import Evaluation, Scores, examine, temperatures_of
from cifar_exp.components.models import Model, build
from cifar_exp.components.models.onednn import weight_format
from cifar_exp.components.precision import Precision, float32_products
from cifar_exp.experiment import TrialConfig
from cifar_exp.training.average import Average
from cifar_exp.training.criterion import Criterion
from cifar_exp.training.learning_rate import LearningRate
from cifar_exp.training.loader import Batch, batches, num_batches, progress_of
from cifar_exp.training.sharpness import SharpnessAware
from cifar_exp.training.statistics import refresh

EVALUATION_BATCH = 500
STEPS_BETWEEN_CHECKS = 50
WARM_UP_IMAGES = 8

_warm: set[Model] = set()
"""The networks that are warmed up in this process."""


LOSS_NOT_FINITE = "the training loss is not finite"
OUTPUT_NOT_FINITE = "an output of the network is not finite"


class Diverged(Exception):  # noqa: N818 - an outcome of training, not a fault
    """The training loss or an output of the network is not finite."""


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


def device() -> torch.device:
    """Return the device used for training: a CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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
    optimizer = optimizer or build_optimizer(model, config)
    criterion = criterion or build_criterion(config, data)
    average = average or build_average(model, config)
    forward = _compiled(model) if config.compile else model
    train_split, val_split = on_device(data.train), on_device(data.val)
    num_steps = num_batches(len(train_split), config.batch_size)
    rate = LearningRate(optimizer, config.schedule_settings, num_steps, config.epochs)
    sharpness = build_sharpness(model, config)
    backward = Backward(
        forward=forward,
        criterion=criterion,
        optimizer=optimizer,
        computing=autocast(config.precision),
    )
    for epoch in range(epochs_done + 1, config.epochs + 1):
        started = time.perf_counter()
        torch.manual_seed(seeds.derive("epoch", config.seed, epoch))  # dropout's draws
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
        val = evaluate(model, loss, val_split, config.precision).scores
        val_ema = None
        if average is not None:
            val_ema = evaluate(average.network, loss, val_split, config.precision).scores
        yield EpochMetrics(
            epoch=epoch,
            train_loss=train_loss,
            val=val,
            seconds=time.perf_counter() - started,
            images_per_second=len(data.train) / (trained - started),
            val_ema=val_ema,
        )


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
                initial_model(config.model, subset, config.seed).to(device()),
                warm_up_config,
                subset,
            )
        )


def on_device(split: Split) -> Split:
    """Return a split with its tensors on the training device; on a CPU nothing is copied."""
    return Split(images=split.images.to(device()), labels=split.labels.to(device()))


def evaluate(
    model: torch.nn.Module,
    loss: Loss,
    split: Split,
    precision: Precision = "fp32",
    temperature: float | None = None,
) -> Evaluation:
    """Evaluate a network on a split; probabilities follow from the loss.

    With a temperature, the scores after temperature scaling are included.

    Raises:
        Diverged: An output is not finite.
    """
    logits = _outputs(model, split.images, precision)
    if not logits.isfinite().all():
        raise Diverged(OUTPUT_NOT_FINITE)
    evaluation = examine(logits, split.labels.cpu(), loss, temperature)
    if not all(map(math.isfinite, evaluation.scores.named("").values())):
        raise Diverged("a score of the network is not finite")
    return evaluation


def fit_temperature(
    model: torch.nn.Module, loss: Loss, split: Split, precision: Precision = "fp32"
) -> float:
    """Return the temperature of a network, fitted on a split that is not used for its scores."""
    logits = _outputs(model, split.images, precision)
    [temperature] = temperatures_of(logits.unsqueeze(0), split.labels.cpu(), [loss])
    return temperature


@torch.no_grad()
def _outputs(model: torch.nn.Module, images: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Return the outputs of a network for all images, as float32 on the CPU."""
    model.eval()
    outputs = []
    with float32_products(precision):
        for batch in images.split(EVALUATION_BATCH):
            with autocast(precision):
                outputs.append(model(batch.to(device())).float())
    return torch.cat(outputs).cpu()


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


def autocast(precision: Precision) -> torch.autocast:
    """Return the context in which a network computes with a precision."""
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")


def _check_finite(total_loss: torch.Tensor) -> None:
    if not total_loss.isfinite():
        raise Diverged(LOSS_NOT_FINITE)
