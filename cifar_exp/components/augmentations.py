"""The augmentations: each shows a whole batch of images in another way, at random."""

from __future__ import annotations

from collections.abc import Callable

from cifar_exp.system.lazy_import import torch

Augmentation = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""Takes images, N x C x H x W uint8 with the channels last in memory, and random draws, N x
NUM_DRAWS float32 uniform in [0, 1); returns images of the same shape, with values 0 to 255 or, as
float32, near that range. An image depends on its own draws alone, whatever the batch."""

FLIP, DOWN, RIGHT, BRIGHTNESS, SATURATION, CONTRAST = range(6)  # what each column of draws is for
NUM_DRAWS = 6
CROP_PADDING = 4
DEEPOBS_PADDING = 2
GREY = (0.299, 0.587, 0.114)  # shares of red, green and blue in brightness: ITU-R BT.601


def none(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """The images as they are."""
    return images


def flip(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Half of the images mirrored left to right."""
    return torch.where(_mirrored(draws)[:, None, None, None], images.flip(3), images)


def crop_flip(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Images shifted by up to 4 pixels, black where they end, and half of them mirrored.

    Source: He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2.
    """
    return _crop_and_flip(images, draws, CROP_PADDING)


def deepobs(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Images shifted by up to 2 pixels and mirrored, with their colours changed.

    Brightness moves by up to 63 levels, saturation by a factor of 0.5 to 1.5, contrast by 0.2 to
    1.8, in this order and without clipping. Saturation mixes an image with its grey one, where
    TensorFlow scales it in HSV; images of another number of channels than 3 keep theirs.
    Source: Schneider et al. 2019, DeepOBS: A Deep Learning Optimizer Benchmark Suite.
    """
    images = _crop_and_flip(images, draws, DEEPOBS_PADDING).float()
    brightness, saturation, contrast = (
        (low + (high - low) * draws[:, column])[:, None, None, None]
        for column, low, high in (
            (BRIGHTNESS, -63, 63),
            (SATURATION, 0.5, 1.5),
            (CONTRAST, 0.2, 1.8),
        )
    )
    images = images + brightness
    if images.shape[1] == len(GREY):
        shares = torch.tensor(GREY, device=images.device)[:, None, None]
        images = torch.lerp((images * shares).sum(1, keepdim=True), images, saturation)
    return torch.lerp(images.mean((2, 3), keepdim=True), images, contrast)


def _mirrored(draws: torch.Tensor) -> torch.Tensor:
    return draws[:, FLIP] < 0.5


def _crop_and_flip(images: torch.Tensor, draws: torch.Tensor, padding: int) -> torch.Tensor:
    """Pad with black, cut out a window of the old size at random, mirror half of them.

    The pixels of the batch are rows of one table, gathered at once.
    """
    num_images, channels, height, width = images.shape
    pixels = torch.nn.functional.pad(images.permute(0, 2, 3, 1), (0, 0, *4 * [padding]))
    padded_height, padded_width = pixels.shape[1:3]
    down, right = (draws[:, [DOWN, RIGHT]] * (2 * padding + 1)).long().unbind(1)
    columns = torch.arange(width, device=images.device)
    columns = torch.where(_mirrored(draws)[:, None], width - 1 - columns, columns)
    rows = torch.arange(height, device=images.device) + down[:, None]
    rows += padded_height * torch.arange(num_images, device=images.device)[:, None]
    chosen = padded_width * rows[:, :, None] + (columns + right[:, None])[:, None, :]
    cut = pixels.view(-1, channels).index_select(0, chosen.view(-1))
    return cut.view(num_images, height, width, channels).permute(0, 3, 1, 2)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": none,
    "flip": flip,
    "crop_flip": crop_flip,
    "deepobs": deepobs,
}
