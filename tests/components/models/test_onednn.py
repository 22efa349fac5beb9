from __future__ import annotations

import pytest
import torch
from torch import nn

from cifar_exp.components.models.onednn import BlockedConv2d, BlockedSequential, weight_format

FORMATS = [torch.contiguous_format, torch.channels_last]


def set_fastest(monkeypatch: pytest.MonkeyPatch, *, value: bool) -> None:
    """Set whether the blocked layout is the fastest one, for the class in this process.

    After a network is unpickled by value, the functions of its class have separate globals.
    """
    for function in (BlockedSequential.forward, weight_format):
        monkeypatch.setitem(function.__globals__, "IS_FASTEST", value)


@pytest.fixture(autouse=True)
def _with_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in the blocked layout, on any processor."""
    set_fastest(monkeypatch, value=True)


def layers(conv: type[nn.Conv2d]) -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        *(conv(3, 8, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
        *(conv(8, 16, 3, stride=2, bias=False), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()),
    ]


def blocked() -> nn.Module:
    return BlockedSequential(*layers(BlockedConv2d))


def plain() -> nn.Module:
    return nn.Sequential(*layers(nn.Conv2d))


def results(module: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the features, and the gradients of a function of them."""
    features = module(images)
    features.float().square().mean().backward()
    gradients = [parameter.grad for parameter in module.parameters()]
    return [features.detach(), *(gradient for gradient in gradients if gradient is not None)]


@pytest.mark.parametrize("memory_format", FORMATS)
def test_it_trains_like_plain_layers(memory_format: torch.memory_format) -> None:
    images = torch.randn(4, 3, 16, 16).to(memory_format=memory_format)
    given = results(blocked().to(memory_format=memory_format), images)
    expected = results(plain(), images)
    assert len(given) == len(expected) == 4
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_under_autocast_it_rounds_like_plain_layers(
    memory_format: torch.memory_format,
) -> None:
    images = torch.randn(4, 3, 16, 16).to(memory_format=memory_format)
    with torch.autocast("cpu", torch.bfloat16):
        given = results(blocked().to(memory_format=memory_format), images)
        expected = results(plain().to(memory_format=memory_format), images)
    assert given[0].dtype == expected[0].dtype == torch.bfloat16
    assert all(gradient.dtype == torch.float32 for gradient in given[1:])
    eps = torch.finfo(torch.bfloat16).eps
    for one, other in zip(given, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=eps, atol=eps * other.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_evaluation_it_equals_plain_layers(dtype: torch.dtype) -> None:
    images = torch.randn(4, 3, 16, 16, dtype=dtype)
    assert torch.equal(blocked().to(dtype).eval()(images), plain().to(dtype)(images))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each convolution's input was blocked."""
    seen: list[bool] = []
    forward = BlockedConv2d.forward

    def watched(self: BlockedConv2d, images: torch.Tensor) -> torch.Tensor:
        seen.append(images.is_mkldnn)
        return forward(self, images)

    monkeypatch.setattr(BlockedConv2d, "forward", watched)
    return seen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_trains_in_the_blocked_layout(seen: list[bool], precision: str) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        blocked()(torch.randn(4, 3, 16, 16))
    assert seen == [True, True]


def test_without_amx_it_trains_like_plain_layers(
    seen: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_fastest(monkeypatch, value=False)
    images = torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last)
    given, expected = results(blocked(), images), results(plain(), images)
    assert seen == [False, False]
    assert all(torch.equal(one, other) for one, other in zip(given, expected, strict=True))
    assert weight_format(blocked(), torch.device("cpu")) == torch.channels_last


def test_weights_have_the_fastest_layout_of_the_device() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert weight_format(nn.Sequential(blocked()), cpu) == torch.contiguous_format
    assert weight_format(nn.Sequential(blocked()), gpu) == torch.channels_last
    assert weight_format(plain(), cpu) == torch.channels_last
