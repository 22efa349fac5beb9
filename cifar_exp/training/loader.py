"""The batches of an epoch: which images, in which order, in which view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from cifar_exp import seeds
from cifar_exp.components.augmentations import Augmentation
from cifar_exp.components.datasets import Split

Batch = tuple[torch.Tensor, torch.Tensor]


def epoch_order(num_images: int, seed: int, epoch: int) -> torch.Tensor:
    """Return the order of the training images, a function of seed and epoch alone."""
    return torch.randperm(num_images, generator=_generator("order", seed, epoch))


def epoch_draws(
    purposes: Sequence[str], num_images: int, seed: int, epoch: int
) -> dict[str, torch.Tensor]:
    """Return the random draws of an augmentation for each place in the order, num_images each.

    Those of a purpose are a function of purpose, seed and epoch alone: the same for every
    combination, at every batch size, and whatever else is drawn.
    """
    return {
        purpose: torch.rand(num_images, generator=_generator(f"augment {purpose}", seed, epoch))
        for purpose in purposes
    }


def batches(
    split: Split, augment: Augmentation, batch_size: int, seed: int, epoch: int
) -> Iterator[Batch]:
    """Yield an epoch's images (N x C x H x W, channels last in memory) and labels (N int64).

    They are on the device of the split. A single image that is left over is left out: batch
    normalisation cannot work on it.
    """
    device = split.images.device
    rows = split.images.permute(0, 2, 3, 1)  # contiguous: a batch is copied row by row
    order = epoch_order(len(split), seed, epoch).to(device)
    draws = epoch_draws(augment.purposes, len(split), seed, epoch)
    draws = {purpose: drawn.to(device) for purpose, drawn in draws.items()}
    for start in range(0, len(split), batch_size):
        batch = slice(start, start + batch_size)
        chosen = order[batch]
        if len(chosen) == 1 < batch_size:
            continue
        images = rows.index_select(0, chosen).permute(0, 3, 1, 2)
        drawn = {purpose: numbers[batch] for purpose, numbers in draws.items()}
        yield augment(images, drawn), split.labels.index_select(0, chosen)


def _generator(purpose: str, seed: int, epoch: int) -> torch.Generator:
    return torch.Generator().manual_seed(seeds.derive(purpose, seed, epoch))
