"""Convolutional layers that train in the memory layout of oneDNN, where that is the fastest one."""

from __future__ import annotations

from typing import cast

import torch

# With AMX these are the fastest kernels; on an AVX-512 processor without it those for channels-last
# images take a fifth less time. It must not be raced at the start: layouts round differently.
IS_FASTEST = torch.backends.mkldnn.is_available() and bool(
    torch.cpu.get_capabilities().get("amx_bf16")
)
PRECISIONS = (torch.float32, torch.bfloat16)


class BlockedSequential(torch.nn.Sequential):
    """Convolutions, poolings and ReLUs that stay in oneDNN's blocked layout from end to end.

    oneDNN, which computes them on CPUs, lays images out in blocks of channels. Between layers of
    an ordinary network it converts back and forth; here it converts once at either end. That is
    for training on a CPU with AMX: elsewhere, in evaluation and for torch.compile, which has
    layouts of its own, this is a plain Sequential. Its convolutions are BlockedConv2d.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images N x C x H x W to features, as the layers one after another do."""
        dtype = _convolution_dtype(images)
        on_this_cpu = (
            IS_FASTEST and images.device.type == "cpu" and not torch.compiler.is_compiling()
        )
        blocked = on_this_cpu and self.training and dtype in PRECISIONS
        features = images.to_mkldnn(dtype) if blocked else images
        for layer in self:
            features = layer(features)
        return features.to_dense() if blocked else features


class BlockedConv2d(torch.nn.Conv2d):
    """A convolution that takes blocked images, too; its padding is in numbers."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map N x C x H x W images, blocked or not, to features of their layout and precision."""
        if not images.is_mkldnn:
            return super().forward(images)
        weight = self.weight.to(images.dtype)
        bias = None if self.bias is None else self.bias.to(images.dtype)
        padding = cast("tuple[int, int]", self.padding)
        geometry = (padding, self.stride, self.dilation, self.groups)
        return torch.mkldnn_convolution(images, weight, bias, *geometry)


def weight_format(network: torch.nn.Module, device: torch.device) -> torch.memory_format:
    """Return the memory format in which a network's weights train fastest on a device.

    Kernels of blocked convolutions reorder the weights at every call, fastest from contiguous
    ones; all others want them in the order of the images, which come as channels_last.
    """
    on_this_cpu = IS_FASTEST and device.type == "cpu"
    is_blocked = on_this_cpu and any(
        isinstance(layer, BlockedSequential) for layer in network.modules()
    )
    return torch.contiguous_format if is_blocked else torch.channels_last


def _convolution_dtype(images: torch.Tensor) -> torch.dtype:
    """Return the precision that a plain convolution would compute these images in."""
    autocast = torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if autocast else images.dtype
