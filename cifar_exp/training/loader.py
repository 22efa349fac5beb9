"""The batches of an epoch: order and augmentation of the images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from cifar_exp import seeds
from cifar_exp.components.augmentations import Augmentation
from cifar_exp.components.datasets import Split


class Batch(NamedTuple):
    """A batch of training images, on the device of the split."""

    images: torch.Tensor
    """N x C x H x W, channels last in memory."""
    targets: torch.Tensor
    """Their labels: N, int64; of mixed images, the shares of the classes: N x C, float32."""
    chosen: torch.Tensor
    """Which training images these are: N, int64."""


def epoch_order(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    """Return a permutation of the training images that depends on seed and epoch only."""
    return torch.randperm(num_images, generator=_generator("order", seed, epoch))


def epoch_draws(
    purposes: Sequence[str], num_images: int, seed: int, epoch: int
) -> dict[str, torch.Tensor]:
    """Return the random draws of an augmentation by purpose: tensors of num_images values.

    The draws of a purpose depend on purpose, seed and epoch only. So they are the same for every
    combination, at every batch size, and with any other draws.
    """
    return {
        purpose: torch.rand(num_images, generator=_generator(f"augment {purpose}", seed, epoch))
        for purpose in purposes
    }


def batches(
    split: Split,
    augment: Augmentation,
    batch_size: int,
    seed: int,
    epoch: int,
    num_classes: int,
) -> Iterator[Batch]:
    """Yield the batches of an epoch."""
    for chosen, draws in epoch_batches(split, augment, batch_size, seed, epoch):
        yield make_batch(split, augment, chosen, draws, num_classes)


def epoch_batches(
    split: Split, augment: Augmentation, batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Yield the indices of the images of each batch, and their draws, on the split's device.

    A last batch of a single image is dropped, as batch normalisation cannot process it.
    """
    device = split.images.device
    order = epoch_order(len(split), seed, epoch).to(device)
    uniform = epoch_draws(augment.all_purposes, len(split), seed, epoch)
    prepared = augment.prepare(uniform, batch_size)
    draws = {purpose: drawn.to(device) for purpose, drawn in prepared.items()}
    for start in range(0, len(split), batch_size):
        batch = slice(start, start + batch_size)
        chosen = order[batch]
        if len(chosen) == 1 < batch_size:
            continue
        yield chosen, {purpose: numbers[batch] for purpose, numbers in draws.items()}


def num_batches(num_images: int, batch_size: int) -> int:
    """Return the number of batches of an epoch, see `epoch_batches`."""
    whole, rest = divmod(num_images, batch_size)
    return whole + (rest > 1)


def progress_of(epoch: int, step: int, num_steps: int, epochs: int) -> float:
    """Return the share of a training that is done before a step of an epoch.

    Args:
        epoch: The epoch, counted from 1.
        step: The step within the epoch, counted from 0.
        num_steps: Steps of an epoch.
        epochs: Epochs of the training.
    """
    return (epoch - 1 + step / num_steps) / epochs


def make_batch(
    split: Split,
    augment: Augmentation,
    chosen: torch.Tensor,
    draws: Mapping[str, torch.Tensor],
    num_classes: int,
) -> Batch:
    """Return the chosen images, augmented, with their targets."""
    rows = split.images.permute(0, 2, 3, 1)  # contiguous, so a batch is copied row by row
    images = rows.index_select(0, chosen).permute(0, 3, 1, 2)
    labels = split.labels.index_select(0, chosen)
    return Batch(*augment.mix(augment(images, draws), labels, draws, num_classes), chosen)


def _generator(purpose: str, seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(seeds.derive(purpose, seed, epoch))
