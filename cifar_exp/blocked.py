"""Convolutional layers that train in the memory layout of the CPU's own kernels."""

from __future__ import annotations

import torch

HAS_ONEDNN = torch.backends.mkldnn.is_available()


class BlockedSequential(torch.nn.Sequential):
    """Convolutions, poolings and ReLUs that stay in oneDNN's blocked layout from end to end.

    oneDNN, which computes them on CPUs, lays images out in blocks of channels. Between layers of
    an ordinary network it converts back and forth; here it converts once at either end. That is
    for training on a CPU: elsewhere, and in evaluation, this is a plain Sequential.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images N x C x H x W to features, as the layers one after another do."""
        blocked = self.training and HAS_ONEDNN and images.device.type == "cpu"
        features = images.to_mkldnn(_dtype(images)) if blocked else images
        for layer in self:
            features = layer(features)
        return features.to_dense() if blocked else features


class BlockedConv2d(torch.nn.Conv2d):
    """A convolution for BlockedSequential: its weights follow the precision of its input."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map N x C x H x W images, blocked or not, to features in the same layout."""
        if not images.is_mkldnn:
            return super().forward(images)
        weight, bias = (parameter.to(images.dtype) for parameter in (self.weight, self.bias))
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        return torch.mkldnn_convolution(images, weight, bias, *geometry)


def _dtype(images: torch.Tensor) -> torch.dtype:
    """Return the precision that the convolutions would have without this layout."""
    autocast = torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if autocast else images.dtype
