"""Convolutional layers that train in oneDNN's memory layout, if it is the fastest one."""

from __future__ import annotations

from typing import cast

import torch

# With AMX these kernels are the fastest; on an AVX-512 CPU without AMX, channels-last kernels take
# a fifth less time. The choice must not be measured at startup, as layouts round differently.
IS_FASTEST = torch.backends.mkldnn.is_available() and bool(
    torch.cpu.get_capabilities().get("amx_bf16")
)
PRECISIONS = (torch.float32, torch.bfloat16)


class BlockedSequential(torch.nn.Sequential):
    """Convolutions, poolings and ReLUs that keep oneDNN's blocked layout between layers.

    oneDNN stores images in blocks of channels on CPUs. In an ordinary network it converts the
    layout at every layer; here it converts only at the beginning and the end. This applies to
    training on a CPU with AMX. Elsewhere, in evaluation, and with torch.compile, which has its own
    layouts, this is an ordinary Sequential. Its convolutions must be BlockedConv2d.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Apply the layers to images N x C x H x W."""
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
    """A convolution that also accepts blocked images; its padding must be numeric."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map N x C x H x W images, blocked or not, to features in the same layout."""
        if not images.is_mkldnn:
            return super().forward(images)
        weight = self.weight.to(images.dtype)
        bias = None if self.bias is None else self.bias.to(images.dtype)
        padding = cast("tuple[int, int]", self.padding)
        geometry = (padding, self.stride, self.dilation, self.groups)
        return torch.mkldnn_convolution(images, weight, bias, *geometry)


def weight_format(network: torch.nn.Module, device: torch.device) -> torch.memory_format:
    """Return the memory format of a network's weights that trains fastest on a device.

    Kernels of blocked convolutions reorder the weights at every call, which is fastest for
    contiguous weights. All other kernels need the format of the images, which is channels_last.
    """
    on_this_cpu = IS_FASTEST and device.type == "cpu"
    is_blocked = on_this_cpu and any(
        isinstance(layer, BlockedSequential) for layer in network.modules()
    )
    return torch.contiguous_format if is_blocked else torch.channels_last


def _convolution_dtype(images: torch.Tensor) -> torch.dtype:
    """Return the precision in which an ordinary convolution would process these images."""
    autocast = torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if autocast else images.dtype
