"""Warnings about a data set from which little or nothing can be learned, or not as intended."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cifar_exp.system.formatting import counted, listed, printable

if TYPE_CHECKING:
    import torch

    from cifar_exp.components.datasets.dataset import Dataset

SAMPLED_BYTES = 16_000_000
"""Pixels of a split that are examined, evenly over its images, to take some milliseconds only."""
SMALLEST_RANGE = 32
"""Levels of 256 that the pixels of a split should cover."""
SMALLEST_STD = 1.0
"""Standard deviation, in levels of 256, that a pixel should have over the images of a split."""


def data_warnings(data: Dataset) -> list[str]:
    """Return warnings: files that are not read, untested classes, few images, little contrast.

    Each is one sentence without a full stop.
    """
    warnings = list(data.left_out)
    if data.untested_classes:
        names = listed(map(printable, data.untested_classes))
        warnings.append(f"there are no test images of {names}")
    if len(data.val) < data.fewest_validation:
        points = 100 * math.sqrt(0.25 / len(data.val))
        warnings.append(
            f"there are only {counted(len(data.val), 'validation image')}, so accuracies that "
            f"settings are chosen by have a standard error of up to {points:.1f} points: a larger "
            "share, such as `validation = 0.3` in the table of the data set, is more exact"
        )
    return warnings + _contrast_warnings(data)


def _contrast_warnings(data: Dataset) -> list[str]:
    found = {name: contrast_warning(split.images) for name, split in data.splits.items()}
    return [
        f"the {len(data.splits[name])} {name} images {text}" for name, text in found.items() if text
    ]


def contrast_warning(images: torch.Tensor) -> str | None:
    """Return what is wrong if all images of a split are the same, or almost.

    Args:
        images: uint8, N x C x H x W.
    """
    import torch  # noqa: PLC0415

    if len(images) < 2:
        return None
    sample = _sample(images)
    if torch.equal(sample, sample[:1].expand_as(sample)) and torch.equal(
        images, images[:1].expand_as(images)
    ):
        return "are all the same: check how they were stored"
    darkest, brightest = int(sample.min()), int(sample.max())
    std = float(sample.float().var(dim=0, correction=0).mean().sqrt())
    if brightest - darkest < SMALLEST_RANGE or std < SMALLEST_STD:
        return (
            f"hardly differ: their pixels are {darkest} to {brightest} of 255, with a standard "
            f"deviation of {std:.1f} over the images: check how they were stored"
        )
    return None


def _sample(images: torch.Tensor) -> torch.Tensor:
    """Return images at equal distances, at least two."""
    most = max(2, SAMPLED_BYTES // images[0].numel())
    return images[:: math.ceil(len(images) / most)]
