"""The programs compared on a GPU: one training, a group, and Lightning, in separate processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

from benchmarks.contestants import trial_config
from benchmarks.gpu.size import Size
from benchmarks.gpu.trainings import group_of, mixed
from cifar_exp.experiment import TrialConfig
from cifar_exp.system.cores import available_cores
from cifar_exp.training import hardware, trainer
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.messages import Training


def one(size: Size, network: str, batch_size: int) -> Iterator[float]:
    """Train one network like a trainer of a sweep; yield the images per second of each epoch."""
    prepare_process(available_cores())
    config = trial_config(network, "bf16", batch_size)
    steps = trainer.train(Training(name="one", config=config), size.data, Path())
    metrics = next(steps)
    while True:
        yield metrics.images_per_second
        try:
            metrics = steps.send(True)
        except StopIteration as end:
            raise RuntimeError(f"the training has ended: {end.value.reason}") from None


def together(size: Size, *, search: bool = False) -> Iterator[float]:
    """Train many networks like a trainer of a sweep; yield the sum of their speeds.

    Args:
        size: The size of the measurement.
        search: Whether cuDNN benchmarks its kernels and uses the fastest one.
    """
    prepare_process(available_cores())
    torch.backends.cudnn.benchmark = search
    yield from group_speeds(mixed(size.batch_size, size.networks), size)


def group_speeds(configs: list[TrialConfig], size: Size) -> Iterator[float]:
    """Train a group; yield networks x images per second for each epoch."""
    steps = trainer.train_group(group_of(configs), size.data)
    step = next(steps)
    while step.epochs:
        yield next(iter(step.epochs.values())).images_per_second
        step = steps.send(dict.fromkeys(step.epochs, True))
    reasons = {outcome.reason for outcome in step.outcomes.values()}
    raise RuntimeError(f"no training of the group is left: {reasons}")


def lightning(size: Size, *, channels_last: bool) -> Iterator[float]:
    """Train `seed_cnn_relu` with Lightning's Trainer on whole batches stored on the GPU."""
    # Imported only here: the import sets PYTORCH_NVML_BASED_CUDA_CHECK, which slows other programs.
    from benchmarks import lightning_loop  # noqa: PLC0415
    from benchmarks.loaders import whole_batches  # noqa: PLC0415

    torch.set_num_threads(available_cores())
    train = hardware.on_device(size.data.train)
    floats = (train.images.float() / 255).contiguous()
    yield from lightning_loop.fits(
        whole_batches(TensorDataset(floats, train.labels), size.batch_size),
        len(train),
        "bf16",
        channels_last=channels_last,
        accelerator="gpu" if hardware.device().type == "cuda" else "cpu",
    )
