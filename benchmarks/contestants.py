"""The programs compared: this project's trainings, the course notes' loop, Lightning, kernels only.

All train the same layers with cross-entropy and SGD at learning rate 0.01 on the same random
images of CIFAR-10's shape. Each function starts one program and runs in a separate process.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks import kernels, notes_loop, synthetic
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.precision import Precision
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import loop, untrained
from cifar_exp.training.hardware import prepare_process

NUM_IMAGES = 3_200
MANY_EPOCHS = 1_000_000  # more than any benchmark needs


def ours(network: str, precision: Precision, batch_size: int, threads: int) -> Iterator[float]:
    """Train like a worker of a sweep; the speed of an epoch excludes its validation."""
    prepare_process(threads)
    data = synthetic.dataset(NUM_IMAGES)
    config = trial_config(network, precision, batch_size)
    for metrics in loop.train(untrained.build_model(config, data), config, data):
        yield metrics.images_per_second


def notes(network: str, threads: int) -> Iterator[float]:
    """Train with the loop of the course notes, in fp32 at batch 64."""
    torch.set_num_threads(threads)
    yield from notes_loop.epochs(image_dataset(), relu=network == "seed_cnn_relu")


def lightning(
    precision: Precision, loader: str, threads: int, *, channels_last: bool
) -> Iterator[float]:
    """Train `seed_cnn_relu` at batch 64 with Lightning's Trainer and one of its loaders."""
    # Imported only here: the import sets PYTORCH_NVML_BASED_CUDA_CHECK, which slows other programs.
    from benchmarks import lightning_loop  # noqa: PLC0415

    torch.set_num_threads(threads)
    yield from lightning_loop.epochs(
        image_dataset(), precision, loader, channels_last=channels_last
    )


def bare_kernels(precision: Precision, batch_size: int) -> Iterator[float]:
    """Compute only the convolutions of `seed_cnn_relu`, on one thread."""
    prepare_process(1)
    yield from kernels.epochs(precision, batch_size, NUM_IMAGES)


def trial_config(network: str, precision: Precision, batch_size: int) -> TrialConfig:
    """Return the configuration of the training that all programs run."""
    return TrialConfig(
        model=read_model(network),
        loss="cross_entropy",
        loss_settings=LOSSES["cross_entropy"](),
        optimizer="sgd",
        optimizer_settings=OPTIMIZERS["sgd"](),
        lr=notes_loop.LEARNING_RATE,
        batch_size=batch_size,
        epochs=MANY_EPOCHS,
        seed=0,
        precision=precision,
    )


def image_dataset() -> notes_loop.ImageDataset:
    """Return the random images in the form used by the notes' loop and Lightning."""
    train = synthetic.dataset(NUM_IMAGES).train
    return notes_loop.ImageDataset(train.images.permute(0, 2, 3, 1).numpy(), train.labels.tolist())
