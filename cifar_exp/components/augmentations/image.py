"""Random transformations of each image: shifts, flips and colours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

from cifar_exp.components.augmentations.base import Augmentation
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    from cifar_exp.components.augmentations.base import Draws

CROP_PADDING = 4
DEEPOBS_PADDING = 2
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in brightness: ITU-R BT.601


class NoAugmentation(Augmentation):
    """No augmentation."""

    name: ClassVar[str] = "none"
    version: ClassVar[int] = 1

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:  # noqa: ARG002
        """Return the images unchanged."""
        return images


class Flip(Augmentation):
    """Horizontal flip with probability 0.5."""

    name: ClassVar[str] = "flip"
    purposes: ClassVar[tuple[str, ...]] = ("flip",)

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Flip images at random."""
        return torch.where(_flipped(draws)[:, None, None, None], images.flip(3), images)


class CropFlip(Augmentation):
    """Random shift by up to 4 pixels with black padding, and random horizontal flip.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2.
    """

    name: ClassVar[str] = "crop_flip"
    purposes: ClassVar[tuple[str, ...]] = ("flip", "crop down", "crop right")

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Crop and flip images at random."""
        return _crop_and_flip(images, draws, CROP_PADDING)


class DeepObs(Augmentation):
    """Random shift by up to 2 pixels, horizontal flip and colour jitter, as in DeepOBS.

    Brightness changes by up to 63 levels, saturation by a factor of 0.5 to 1.5 and contrast by a
    factor of 0.2 to 1.8, in this order and without clipping. Saturation interpolates between an
    image and its greyscale version, whereas TensorFlow scales it in HSV; it is not changed unless
    there are 3 channels.
    Source: Schneider et al. 2019, DeepOBS: A Deep Learning Optimizer Benchmark Suite.
    """

    name: ClassVar[str] = "deepobs"
    purposes: ClassVar[tuple[str, ...]] = (
        "flip",
        "crop down",
        "crop right",
        "brightness",
        "saturation",
        "contrast",
    )

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Crop and flip images, and change their colours."""
        images = _crop_and_flip(images, draws, DEEPOBS_PADDING).float()
        images = images + _between(draws["brightness"], -63, 63)
        if images.shape[1] == len(GREY):
            grey = (images * _grey_weights(images.device)).sum(1, keepdim=True)
            images = torch.lerp(grey, images, _between(draws["saturation"], 0.5, 1.5))
        means = images.mean((2, 3), keepdim=True)
        return torch.lerp(means, images, _between(draws["contrast"], 0.2, 1.8))


@cache
def _grey_weights(device: torch.device) -> torch.Tensor:
    """Return the weights of the channels, which are copied to a device once.

    A step that copies from the host cannot be captured as a CUDA graph.
    """
    return torch.tensor(GREY, device=device)[:, None, None]


def _between(drawn: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Map draws from [0, 1) to [low, high), in a shape that broadcasts over images."""
    return (low + (high - low) * drawn)[:, None, None, None]


def _flipped(draws: Draws) -> torch.Tensor:
    return draws["flip"] < 0.5


def _crop_and_flip(images: torch.Tensor, draws: Draws, padding: int) -> torch.Tensor:
    """Pad with black, crop a random window of the original size, and flip half of the images.

    The pixels of the batch are rows of one matrix, gathered in one operation.
    """
    num_images, channels, height, width = images.shape
    pixels = torch.nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, *4 * [padding]))
    padded_height, padded_width = pixels.shape[1:3]
    down, right = (
        (draws[purpose] * (2 * padding + 1)).long() for purpose in ("crop down", "crop right")
    )
    columns = torch.arange(width, device=images.device)
    columns = torch.where(_flipped(draws)[:, None], width - 1 - columns, columns)
    rows = torch.arange(height, device=images.device) + down[:, None]
    rows += padded_height * torch.arange(num_images, device=images.device)[:, None]
    indices = padded_width * rows[:, :, None] + (columns + right[:, None])[:, None, :]
    cropped = pixels.view(-1, channels).index_select(0, indices.view(-1))
    return cropped.view(num_images, height, width, channels).permute(0, 3, 1, 2)
