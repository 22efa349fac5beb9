"""The augmentations: each shows a whole batch of images in another way, at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from cifar_exp.components.table import Component, table_of
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    Draws = Mapping[str, torch.Tensor]
    """One number an image for each purpose: N float32, uniform in [0, 1)."""

CROP_PADDING = 4
DEEPOBS_PADDING = 2
GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue in brightness: ITU-R BT.601


class Augmentation(Component):
    """A way to vary training images.

    An image depends on its own draws alone, whatever the batch.
    """

    purposes: ClassVar[tuple[str, ...]] = ()
    """What is drawn for each image. Each purpose has a random stream of its own, named by it."""
    version: ClassVar[int] = 2
    """Is increased when its results change: trainings of another version are not reused."""

    @classmethod
    def identity(cls) -> str:
        """Return its name, with the version if its results have changed."""
        return cls.name if cls.version == 1 else f"{cls.name} {cls.version}"

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Vary a batch.

        Args:
            images: N x C x H x W uint8, with the channels last in memory.
            draws: The random numbers of each purpose, N each.

        Returns:
            Images of the same shape, with values 0 to 255 or, as float32, near that range.
        """
        raise NotImplementedError


class NoAugmentation(Augmentation):
    """The images as they are."""

    name = "none"
    version = 1

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:  # noqa: ARG002
        """Return the images."""
        return images


class Flip(Augmentation):
    """Half of the images mirrored left to right."""

    name = "flip"
    purposes = ("flip",)

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Mirror images."""
        return torch.where(_mirrored(draws)[:, None, None, None], images.flip(3), images)


class CropFlip(Augmentation):
    """Images shifted by up to 4 pixels, black where they end, and half of them mirrored.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2.
    """

    name = "crop_flip"
    purposes = ("flip", "crop down", "crop right")

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Shift and mirror images."""
        return _crop_and_flip(images, draws, CROP_PADDING)


class DeepObs(Augmentation):
    """Images shifted by up to 2 pixels and mirrored, with their colours changed.

    Brightness moves by up to 63 levels, saturation by a factor of 0.5 to 1.5, contrast by 0.2 to
    1.8, in this order and without clipping. Saturation mixes an image with its grey one, where
    TensorFlow scales it in HSV; images of another number of channels than 3 keep theirs.
    Source: Schneider et al. 2019, DeepOBS: A Deep Learning Optimizer Benchmark Suite.
    """

    name = "deepobs"
    purposes = ("flip", "crop down", "crop right", "brightness", "saturation", "contrast")

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Shift and mirror images, and change their colours."""
        images = _crop_and_flip(images, draws, DEEPOBS_PADDING).float()
        images = images + _between(draws["brightness"], -63, 63)
        if images.shape[1] == len(GREY):
            shares = torch.tensor(GREY, device=images.device)[:, None, None]
            grey = (images * shares).sum(1, keepdim=True)
            images = torch.lerp(grey, images, _between(draws["saturation"], 0.5, 1.5))
        means = images.mean((2, 3), keepdim=True)
        return torch.lerp(means, images, _between(draws["contrast"], 0.2, 1.8))


def _between(drawn: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Map draws from [0, 1) to [low, high), shaped to be spread over images."""
    return (low + (high - low) * drawn)[:, None, None, None]


def _mirrored(draws: Draws) -> torch.Tensor:
    return draws["flip"] < 0.5


def _crop_and_flip(images: torch.Tensor, draws: Draws, padding: int) -> torch.Tensor:
    """Pad with black, cut out a window of the old size at random, mirror half of them.

    The pixels of the batch are rows of one table, gathered at once.
    """
    num_images, channels, height, width = images.shape
    pixels = torch.nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, *4 * [padding]))
    padded_height, padded_width = pixels.shape[1:3]
    down, right = (
        (draws[purpose] * (2 * padding + 1)).long() for purpose in ("crop down", "crop right")
    )
    columns = torch.arange(width, device=images.device)
    columns = torch.where(_mirrored(draws)[:, None], width - 1 - columns, columns)
    rows = torch.arange(height, device=images.device) + down[:, None]
    rows += padded_height * torch.arange(num_images, device=images.device)[:, None]
    chosen = padded_width * rows[:, :, None] + (columns + right[:, None])[:, None, :]
    cut = pixels.view(-1, channels).index_select(0, chosen.view(-1))
    return cut.view(num_images, height, width, channels).permute(0, 3, 1, 2)


AUGMENTATIONS = table_of(Augmentation)
