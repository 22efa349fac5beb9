from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cifar_exp.components.datasets import Dataset, data_warnings, load
from cifar_exp.components.datasets.data_warnings import contrast_warning

from .samples import folder


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return replace(load(folder(tmp_path).choice), fewest_validation=0)


def images(low: int, high: int, number: int = 40, size: int = 8) -> torch.Tensor:
    """Return uniform noise in low..high - 1; the variance of n levels is (n² - 1) / 12."""
    generator = torch.Generator().manual_seed(0)
    shape = (number, 3, size, size)
    return torch.randint(low, high, shape, dtype=torch.uint8, generator=generator)


def test_images_with_contrast_give_no_warning(data: Dataset) -> None:
    assert data_warnings(data) == []
    assert contrast_warning(images(0, 33)) is None  # 33 levels
    assert contrast_warning(images(7, 8, number=1)) is None  # a single image is like itself


@pytest.mark.parametrize("image", [images(0, 256, 1), torch.full((1, 3, 8, 8), 255).byte()])
def test_equal_images_are_warned_of(data: Dataset, image: torch.Tensor) -> None:
    same = image.repeat(30, 1, 1, 1)
    test = replace(data.test, images=same[: len(data.test)])
    assert data_warnings(replace(data, test=test)) == [
        "the 9 test images are all the same: check how they were stored"
    ]
    same[17, 0, 3, 3] ^= 1
    assert "hardly differ" in str(contrast_warning(same))


def test_equal_images_in_a_sample_of_others_are_not_called_the_same() -> None:
    large = torch.zeros(5, 3, 2000, 2000, dtype=torch.uint8)  # 2 of them are examined
    large[1] = 255
    assert "hardly differ" in str(contrast_warning(large))


def test_images_of_a_few_levels_are_warned_of() -> None:
    """12 bits stored in 16: 0 to 4095 are the levels 0 to 15, with a variance of 255 / 12."""
    warning = str(contrast_warning(images(0, 16, number=400)))
    assert "their pixels are 0 to 15 of 255, with a standard deviation of 4.6 over" in warning


def test_equal_images_with_noise_are_warned_of() -> None:
    """Two levels with equal probability have a standard deviation of 0.5."""
    pattern = images(0, 250, 1)
    warning = str(contrast_warning(pattern + images(0, 2, number=400)))
    assert "standard deviation of 0.5 over" in warning


def test_the_warning_of_untested_classes_names_some(data: Dataset) -> None:
    names = tuple(f"class {number}" for number in range(3000))
    (warning,) = data_warnings(replace(data, classes=names))
    assert warning.startswith("there are no test images of class 3, class 4, ")
    assert warning.endswith(", class 10 and 2989 more")


def test_few_validation_images_are_warned_of(tmp_path: Path) -> None:
    """The standard error of a share is at most 0.5 / sqrt(n): of 3 images 28.9 points."""
    (warning,) = data_warnings(load(folder(tmp_path).choice))
    assert warning.startswith("there are only 3 validation images, so accuracies that settings")
    assert "up to 28.9 points: a larger share, such as `validation = 0.3`" in warning


def test_what_is_left_out_is_warned_of(data: Dataset) -> None:
    assert data_warnings(replace(data, left_out=("one", "two"))) == ["one", "two"]


def test_a_class_name_is_printed_on_one_line(data: Dataset) -> None:
    classes = (*data.classes, "a\nb", "caf\udce9")
    (warning,) = data_warnings(replace(data, classes=classes))
    assert warning == "there are no test images of a\\nb, caf\\udce9"
