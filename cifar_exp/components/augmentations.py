"""Augmentations: random transformations of a batch of images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from cifar_exp.components.table import Component, table_of
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    Draws = Mapping[str, torch.Tensor]
    """Random numbers by purpose, one per image: N float32, uniform in [0, 1)."""

CROP_PADDING = 4
DEEPOBS_PADDING = 2
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in brightness: ITU-R BT.601


class Augmentation(Component):
    """A random transformation of training images.

    The result for an image depends on its own draws only, not on the rest of the batch.
    """

    purposes: ClassVar[tuple[str, ...]] = ()
    """Names of the random numbers drawn per image; each has its own random stream."""
    version: ClassVar[int] = 2
    """Increased when the results change, so that trainings of another version are not reused."""

    @classmethod
    def identity(cls) -> str:
        """Return the name, with the version if it is not 1."""
        return cls.name if cls.version == 1 else f"{cls.name} {cls.version}"

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Transform a batch.

        Args:
            images: N x C x H x W uint8, with the channels last in memory.
            draws: The random numbers by purpose, N each.

        Returns:
            Images of the same shape, with values 0 to 255 or, as float32, near that range.
        """
        raise NotImplementedError


class NoAugmentation(Augmentation):
    """No augmentation."""

    name = "none"
    version = 1

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:  # noqa: ARG002
        """Return the images unchanged."""
        return images


class Flip(Augmentation):
    """Horizontal flip with probability 0.5."""

    name = "flip"
    purposes = ("flip",)

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Flip images at random."""
        return torch.where(_flipped(draws)[:, None, None, None], images.flip(3), images)


class CropFlip(Augmentation):
    """Random shift by up to 4 pixels with black padding, and random horizontal flip.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2.
    """

    name = "crop_flip"
    purposes = ("flip", "crop down", "crop right")

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

    name = "deepobs"
    purposes = ("flip", "crop down", "crop right", "brightness", "saturation", "contrast")

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


AUGMENTATIONS = table_of(Augmentation)
