"""Convolutional layers that train in the memory layout of the CPU's own kernels."""

from __future__ import annotations

import torch

HAS_ONEDNN = torch.backends.mkldnn.is_available()


class BlockedSequential(torch.nn.Sequential):
    """Convolutions, poolings and ReLUs that stay in oneDNN's blocked layout from end to end.

    oneDNN, which computes them on CPUs, lays images out in blocks of channels. Between layers of
    an ordinary network it converts back and forth; here it converts once at either end. That is
    for float32 training on a CPU: elsewhere, and in evaluation, this is a plain Sequential.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images N x C x H x W to features, as the layers one after another do."""
        blocked = self.training and images.device.type == "cpu" and _is_plain_float32(images)
        features = images.to_mkldnn() if blocked else images
        for layer in self:
            features = layer(features)
        return features.to_dense() if blocked else features


def _is_plain_float32(images: torch.Tensor) -> bool:
    """Say whether nothing but float32 arithmetic is asked for, of a torch that has oneDNN."""
    autocast = torch.is_autocast_enabled("cpu")
    return HAS_ONEDNN and images.dtype == torch.float32 and not autocast
