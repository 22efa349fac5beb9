"""The standardising layer against the plain formula."""

from __future__ import annotations

import pytest
import torch

from cifar_exp.components.models.standardize import Standardize

MEAN, STD = (0.5, 0.25, 0.1), (0.2, 0.3, 0.4)


def images() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(256, (4, 3, 6, 5), generator=random, dtype=torch.uint8)


def test_plain_formula() -> None:
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (MEAN, STD))
    expected = (images().double() / 255 - mean) / std
    result = Standardize(MEAN, STD)(images())
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=2e-6)


def test_black_and_white_by_hand() -> None:
    layer = Standardize([0.5], [0.25])
    result = layer(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
    torch.testing.assert_close(result, torch.tensor([[[[-2.0, 2.0]]]]))


def test_channels_last_is_kept() -> None:
    result = Standardize(MEAN, STD)(images().to(memory_format=torch.channels_last))
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, Standardize(MEAN, STD)(images()))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_layout_is_bitwise_identical_to_one_multiplication_and_addition(
    layout: torch.memory_format,
) -> None:
    layer = Standardize(MEAN, STD)
    given = images().to(memory_format=layout)
    expected = torch.addcmul(layer.shift, given.float(), layer.scale)
    result = layer(given)
    assert torch.equal(result, expected)
    assert result.stride() == expected.stride()


def test_no_images_at_all() -> None:
    assert Standardize(MEAN, STD)(images()[:0]).shape == (0, 3, 6, 5)


def test_saved_with_the_model_but_not_trained() -> None:
    layer = Standardize(MEAN, STD)
    assert not list(layer.parameters())
    other = Standardize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(images()), layer(images()))


def test_float_images_are_not_changed() -> None:
    given = images().float()
    kept = given.clone()
    torch.testing.assert_close(Standardize(MEAN, STD)(given), Standardize(MEAN, STD)(images()))
    assert torch.equal(given, kept)


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.0]), ([0.5, 0.5], [0.1]), ([], [])])
def test_bad_statistics_are_rejected(mean: list[float], std: list[float]) -> None:
    with pytest.raises(ValueError, match="one number per channel"):
        Standardize(mean, std)
