"""Several networks of the same architecture as one network.

The channels of all networks lie side by side: features are N x (networks * channels) x H x W, and
outputs N x (networks * classes). So poolings and activations are applied to all networks at once as
they are, and convolutions become grouped convolutions. The images are the same for all networks:
the first convolution is one ordinary convolution with more output channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import nn

from cifar_exp.components.models import onednn
from cifar_exp.training.group import pooling
from cifar_exp.training.group.layers import (
    NotStackable,
    StackedBatchNorm,
    StackedConv2d,
    StackedDropout,
    StackedDropout2d,
    StackedGroupNorm,
    StackedLinear,
    StackedPooledConv2d,
)

Weights = Mapping[str, torch.Tensor]
"""The state dict of one network."""


STACKED: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.Conv2d: StackedConv2d,
    onednn.BlockedConv2d: StackedConv2d,
    nn.Linear: StackedLinear,
    nn.BatchNorm2d: StackedBatchNorm,
    nn.GroupNorm: StackedGroupNorm,
    nn.Dropout: StackedDropout,
    nn.Dropout2d: StackedDropout2d,
}
"""The stacked form of layers; a layer without weights and random draws needs none."""

CONTAINERS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    onednn.BlockedSequential: nn.Sequential,
}
"""What replaces a container of layers that computes more than its layers."""


def stack(networks: Sequence[nn.Module]) -> nn.Module:
    """Return one network that computes all of the given networks, with copies of their weights.

    Its state dict has the same names; each tensor of a layer has the networks as first dimension.

    Raises:
        NotStackable: A layer with weights has no stacked form.
    """
    first = networks[0]
    stacked_form = STACKED.get(type(first))
    if stacked_form is not None:
        return stacked_form(networks).train(first.training)
    if any(True for _ in first.parameters(recurse=False)):
        raise NotStackable(f"layers of type {type(first).__name__}")
    children = {
        name: stack([network.get_submodule(name) for network in networks])
        for name, _ in first.named_children()
    }
    container = CONTAINERS.get(type(first))
    whole = _without_children(first) if container is None else container()
    for name, child in children.items():
        whole.add_module(name, child)
    if type(whole) is nn.Sequential:
        _join_poolings(whole, networks)
    return whole.train(first.training)


def weights_of(stacked: nn.Module, index: int, names: Weights) -> dict[str, torch.Tensor]:
    """Return the state dict of one network of a stack; tensors are views.

    Args:
        stacked: The stack.
        index: The network.
        names: A state dict of one network, which tells which tensors are stacked.
    """
    return {
        name: tensor[index] if tensor.ndim > names[name].ndim else tensor
        for name, tensor in stacked.state_dict().items()
    }


def _join_poolings(whole: nn.Sequential, networks: Sequence[nn.Module]) -> None:
    """Let convolutions compute the pooling and activation that follow; these become identities."""
    names = list(whole._modules)
    for name, *following in zip(names, names[1:], names[2:], strict=False):
        pool, activation = map(whole.get_submodule, following)
        window = pooling.Window.of(pool, activation)
        if type(whole.get_submodule(name)) is StackedConv2d and window is not None:
            layers = [cast("nn.Conv2d", network.get_submodule(name)) for network in networks]
            whole.add_module(name, StackedPooledConv2d(layers, pool, activation, window))
            for joined in following:
                whole.add_module(joined, nn.Identity())


def _without_children(module: nn.Module) -> nn.Module:
    """Return a copy of a module that shares nothing with it, without its children."""
    shallow = copy.copy(module)
    shallow._modules = {}
    return copy.deepcopy(shallow)
