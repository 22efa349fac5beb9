"""The stacked form of layers: those of several networks as one, channels side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from cifar_exp.training.group import pooling


class NotStackable(ValueError):  # noqa: N818 - a property of a network, not a fault
    """A network has a layer that has no stacked form."""


class StackedConv2d(nn.Module):
    """Convolutions of several networks: one grouped convolution.

    Args:
        layers: The convolution of each network.
    """

    def __init__(self, layers: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        layer = layers[0]
        if layer.padding_mode != "zeros":
            raise NotStackable(f"convolutions with padding_mode={layer.padding_mode!r}")
        self.weight = _stacked([layer.weight for layer in layers])
        self.bias = None if layer.bias is None else _stacked([_bias(layer) for layer in layers])
        self._num_networks = len(layers)
        self._in_channels, self._groups = layer.in_channels, layer.groups
        self._geometry = (layer.stride, layer.padding, layer.dilation)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map stacked features, or images that all networks share, to stacked features."""
        return self.convolve(images, None if self.bias is None else self.bias.flatten())

    def convolve(self, images: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Map images as `forward`, with a given bias or none."""
        groups = self._groups * self._num_networks
        if images.shape[1] == self._in_channels:
            if self._groups == 1:
                groups = 1
            else:
                images = images.repeat(1, self._num_networks, 1, 1)
        weight = self.weight.flatten(0, 1)
        return functional.conv2d(images, weight, bias, *self._geometry, groups)  # type: ignore[arg-type]


class StackedPooledConv2d(StackedConv2d):
    """Convolutions, max-pooling and activation: in training on a GPU with less memory traffic.

    There the bias is added while pooling. Everywhere else the layers are computed as they are.

    Args:
        layers: The convolution of each network.
        pool: The pooling.
        activation: The activation after it.
        window: What these two compute.
    """

    def __init__(
        self,
        layers: Sequence[nn.Conv2d],
        pool: nn.Module,
        activation: nn.Module,
        window: pooling.Window,
    ) -> None:
        super().__init__(layers)
        self.pool, self.activation = pool, activation
        self._window = window

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map stacked features, or images that all networks share, to stacked features."""
        pooled = None
        if not torch.compiler.is_compiling() and self.training and pooling.is_suitable(images):
            pooled = self._pooled(images)
        if pooled is None:
            pooled = self.activation(self.pool(super().forward(images)))
        return cast("torch.Tensor", pooled)

    def _pooled(self, images: torch.Tensor) -> torch.Tensor | None:
        """Return the features computed by one operation after the convolution, if possible."""
        if self.bias is None:
            return None
        return pooling.bias_pool(self.convolve(images, None), self.bias.flatten(), self._window)


class StackedLinear(nn.Module):
    """Linear layers of several networks: one batched matrix product.

    Args:
        layers: The layer of each network.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked([layer.weight for layer in layers])
        self.bias = None if layers[0].bias is None else _stacked([layer.bias for layer in layers])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map stacked features, or images that all networks share, to stacked features."""
        num_networks, _, num_inputs = self.weight.shape
        if features.shape[1] == num_inputs:  # the images, which all networks share
            features = features.repeat(1, num_networks)
        by_network = features.reshape(len(features), num_networks, num_inputs).transpose(0, 1)
        if self.bias is None:
            outputs = torch.bmm(by_network, self.weight.mT)
        else:
            outputs = torch.baddbmm(self.bias[:, None], by_network, self.weight.mT)
        return outputs.transpose(0, 1).flatten(1)


class StackedBatchNorm(nn.Module):
    """Batch normalisations of several networks, with running statistics of their own.

    Args:
        layers: The layer of each network.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, layers: Sequence[nn.BatchNorm2d]) -> None:
        super().__init__()
        layer = layers[0]
        if not layer.track_running_stats or layer.momentum is None or not layer.affine:
            raise NotStackable("batch normalisation without running statistics or weights")
        self.weight = _stacked([layer.weight for layer in layers])
        self.bias = _stacked([layer.bias for layer in layers])
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            stacked = torch.stack([getattr(layer, name) for layer in layers])
            self.register_buffer(name, stacked)
        self._momentum, self._eps = layer.momentum, layer.eps

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise each channel of each network."""
        if self.training:
            self.num_batches_tracked.add_(1)
        return functional.batch_norm(
            features,
            self.running_mean.view(-1),  # views, so that the statistics are updated in place
            self.running_var.view(-1),
            self.weight.flatten(),
            self.bias.flatten(),
            self.training,
            self._momentum,
            self._eps,
        )


class StackedGroupNorm(nn.Module):
    """Group normalisations of several networks.

    Args:
        layers: The layer of each network.
    """

    def __init__(self, layers: Sequence[nn.GroupNorm]) -> None:
        super().__init__()
        layer = layers[0]
        if not layer.affine:
            raise NotStackable("group normalisation without weights")
        self.weight = _stacked([layer.weight for layer in layers])
        self.bias = _stacked([layer.bias for layer in layers])
        self._num_groups, self._eps = len(layers) * layer.num_groups, layer.eps

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise the groups of channels of each network."""
        weight, bias = self.weight.flatten(), self.bias.flatten()
        return functional.group_norm(features, self._num_groups, weight, bias, self._eps)


class StackedDropout(nn.Module):
    """Dropout with the same mask for all networks, which is that of a network trained alone.

    Args:
        layers: The layer of each network.
    """

    def __init__(self, layers: Sequence[nn.Dropout]) -> None:
        super().__init__()
        self._num_networks, self._keep = len(layers), 1 - layers[0].p

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Set elements to zero at random in training."""
        if not self.training or self._keep == 1:
            return features
        one_network = features[:, : features.shape[1] // self._num_networks]
        mask = self._drawn(one_network)
        scaled = mask / self._keep if self._keep > 0 else mask
        return features * scaled.repeat(1, self._num_networks, *[1] * (features.ndim - 2))

    def _drawn(self, features: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(features).bernoulli_(self._keep)


class StackedDropout2d(StackedDropout):
    """Dropout of whole channels, the same in all networks."""

    def _drawn(self, features: torch.Tensor) -> torch.Tensor:
        return features.new_empty(*features.shape[:2], 1, 1).bernoulli_(self._keep)


def _stacked(parameters: Sequence[torch.Tensor]) -> nn.Parameter:
    """Stack the parameters of several networks, in their memory layout."""
    stacked = torch.stack([parameter.detach() for parameter in parameters])
    if stacked.ndim == 5:
        stacked = stacked.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    return nn.Parameter(stacked, requires_grad=parameters[0].requires_grad)


def _bias(layer: nn.Conv2d) -> torch.Tensor:
    return cast("torch.Tensor", layer.bias)
