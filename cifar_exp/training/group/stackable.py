"""Whether several networks of an architecture can be computed as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from cifar_exp.components.models import Model, build
from cifar_exp.training.group.layers import NotStackable
from cifar_exp.training.group.network import stack

NUM_IMAGES = 4
SEED = 0
TOLERANCE = 1e-6
"""The largest difference of outputs and gradients, relative to the largest of them."""


@lru_cache
def is_stackable(model: Model, channels: int, size: int, num_classes: int) -> bool:
    """Return whether a stack of two networks computes the same as each of them alone.

    Outputs and gradients in training are compared, and then outputs in evaluation, on a few images
    on the CPU. So a network that stacked features do not allow is found without a list of layers:
    one that concatenates channels, for example. The global random state is not changed.

    Args:
        model: The network.
        channels: Channels of the images.
        size: Height and width of the images.
        num_classes: Number of logits.
    """
    images = torch.randint(
        256, (NUM_IMAGES, channels, size, size), generator=_generator(), dtype=torch.uint8
    )
    with torch.random.fork_rng(devices=[]):
        try:
            networks = [_network(model, channels, size, num_classes, seed) for seed in (1, 2)]
            return _equal(_stacked(stack(networks), images), _alone(networks, images))
        except Exception:  # whatever it is, these networks are trained one by one
            return False


def _network(
    model: Model, channels: int, size: int, num_classes: int, seed: int
) -> torch.nn.Module:
    mean, std = [0.5] * channels, [0.25] * channels
    network = build(model, mean=mean, std=std, size=size, num_classes=num_classes, seed=seed)
    # In float32, rounding changes the sign of some ReLU's input, and with it the gradient.
    return network.double().train()


def _alone(networks: Sequence[torch.nn.Module], images: torch.Tensor) -> list[torch.Tensor]:
    """Return the results of networks that are computed one by one, see `_stacked`."""
    outputs = torch.cat([_forward(network, images) for network in networks], dim=1)
    outputs.square().sum().backward()
    parameters = zip(*(network.parameters() for network in networks), strict=True)
    gradients = [torch.stack([_gradient(p) for p in same]).flatten() for same in parameters]
    with torch.no_grad():
        evaluated = torch.cat([network.eval()(images) for network in networks], dim=1)
    return [outputs.detach(), evaluated, torch.cat(gradients)]


def _stacked(network: torch.nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return outputs in training, outputs in evaluation after it, and gradients."""
    outputs = _forward(network, images)
    outputs.square().sum().backward()
    gradients = [_gradient(parameter).flatten() for parameter in network.parameters()]
    with torch.no_grad():
        evaluated = network.eval()(images)
    return [outputs.detach(), evaluated, torch.cat(gradients)]


def _forward(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    torch.default_generator.manual_seed(SEED)  # the same draws of dropout in all networks
    outputs: torch.Tensor = network(images)
    return outputs


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    """Return the gradient of a parameter; zero if it is not trained.

    Raises:
        NotStackable: It is trained, but the network does not use it.
    """
    if parameter.grad is not None:
        return parameter.grad
    if parameter.requires_grad:
        raise NotStackable("a parameter that the network does not use")
    return torch.zeros_like(parameter)


def _equal(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
    return all(
        bool((one - other).abs().max() <= TOLERANCE * other.abs().max())
        for one, other in zip(found, expected, strict=True)
    )


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)
