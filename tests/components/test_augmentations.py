"""Augmentations against torchvision's, image by image, and the distribution of their draws."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from torchvision.transforms.v2 import functional

from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.augmentations.image import (
    CROP_PADDING,
    DEEPOBS_PADDING,
    CropFlip,
    DeepObs,
    Flip,
    NoAugmentation,
)
from cifar_exp.testing import check_augmentation

EVERY = sorted(name for name in AUGMENTATIONS if not AUGMENTATIONS[name].mixes)
PURPOSES = ("flip", "crop down", "crop right", "brightness", "saturation", "contrast")
none, flip, crop_flip, deepobs = NoAugmentation(), Flip(), CropFlip(), DeepObs()


def images(num_images: int, channels: int = 3, size: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (num_images, size, size, channels)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator).permute(0, 3, 1, 2)


def draws(num_images: int) -> dict[str, torch.Tensor]:
    drawn = torch.rand(len(PURPOSES), num_images, generator=torch.Generator().manual_seed(1))
    return dict(zip(PURPOSES, drawn, strict=True))


def one_by_one(drawn: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return a row of draws for each image, in the order of the purposes."""
    return torch.stack([drawn[purpose] for purpose in PURPOSES], dim=1)


def of_images(drawn: dict[str, torch.Tensor], images: slice) -> dict[str, torch.Tensor]:
    return {purpose: numbers[images] for purpose, numbers in drawn.items()}


def cropped(image: torch.Tensor, drawn: torch.Tensor, padding: int) -> torch.Tensor:
    """Return one image augmented with torchvision: padded with black, cropped, mirrored."""
    mirrored, down, right = drawn[:3].tolist()
    places = 2 * padding + 1
    size = list(image.shape[-2:])
    window: torch.Tensor = functional.crop(
        functional.pad(image, [padding]), int(down * places), int(right * places), *size
    )
    return window.flip(2) if mirrored < 0.5 else window


def colored(image: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Return one image with changed brightness, saturation and contrast, computed by channel."""
    brightness, saturation, contrast = drawn[3:].tolist()
    image = image.double() + (-63 + 126 * brightness)
    if len(image) == 3:
        red, green, blue = image
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        image = grey + (0.5 + saturation) * (image - grey)
    means = image.mean((1, 2), keepdim=True)
    changed: torch.Tensor = means + (0.2 + 1.6 * contrast) * (image - means)
    return changed


def test_none_changes_nothing() -> None:
    given = images(5)
    assert none(given, draws(5)) is given


def test_flip_is_torchvisions() -> None:
    given, drawn = images(40), draws(40)
    for image, original, one in zip(flip(given, drawn), given, one_by_one(drawn), strict=True):
        mirrored = functional.horizontal_flip(original) if one[0] < 0.5 else original
        assert torch.equal(image, mirrored)


@pytest.mark.parametrize("channels", [1, 3])
def test_crop_and_flip_are_torchvisions(channels: int) -> None:
    given, drawn = images(200, channels), draws(200)
    for image, original, one in zip(crop_flip(given, drawn), given, one_by_one(drawn), strict=True):
        assert torch.equal(image, cropped(original, one, CROP_PADDING))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_colours_of_deepobs_by_hand(channels: int) -> None:
    given, drawn = images(50, channels), draws(50)
    for image, original, one in zip(deepobs(given, drawn), given, one_by_one(drawn), strict=True):
        expected = colored(cropped(original, one, DEEPOBS_PADDING), one)
        torch.testing.assert_close(image.double(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_contract(name: str) -> None:
    check_augmentation(name)


def test_every_shift_is_equally_frequent() -> None:
    marked = torch.zeros(20_000, 1, 9, 9, dtype=torch.uint8)
    marked[:, :, 4, 4] = 1  # in the window for every shift of up to 4
    places = crop_flip(marked.to(memory_format=torch.channels_last), draws(20_000)).flatten(1)
    assert torch.equal(places.sum(1), torch.ones(20_000))
    counts = places.argmax(1).bincount(minlength=81)
    assert chisquare(counts).pvalue > 0.001
