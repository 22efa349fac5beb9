from __future__ import annotations

import pytest
import torch
from torch import nn

from cifar_exp.blocked import BlockedSequential


def layers() -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        *(nn.Conv2d(3, 8, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
    ]


def results(module: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The features, and the gradients of a function of them."""
    features = module(images)
    features.square().mean().backward()
    gradients = [parameter.grad for parameter in module.parameters()]
    return [features.detach(), *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_it_trains_like_plain_layers(memory_format: torch.memory_format) -> None:
    images = torch.randn(4, 3, 16, 16).to(memory_format=memory_format)
    given = results(BlockedSequential(*layers()).to(memory_format=memory_format), images)
    expected = results(nn.Sequential(*layers()), images)
    assert len(given) == len(expected) == 5
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_evaluation_it_is_plain_layers(dtype: torch.dtype) -> None:
    module = BlockedSequential(*layers()).to(dtype).eval()
    images = torch.randn(4, 3, 16, 16, dtype=dtype)
    assert torch.equal(module(images), nn.Sequential(*layers()).to(dtype)(images))


def test_other_arithmetic_than_float32_is_left_to_plain_layers() -> None:
    images = torch.randn(4, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        given = BlockedSequential(*layers())(images)
        expected = nn.Sequential(*layers())(images)
    assert given.dtype == torch.bfloat16
    assert torch.equal(given, expected)
