"""Stacked networks against each network alone."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from cifar_exp.components.models import MODELS, Model, build, read_model
from cifar_exp.training.group.layers import NotStackable
from cifar_exp.training.group.network import stack, weights_of
from cifar_exp.training.group.stackable import is_stackable
from tests.components.models.small import small, small_size

NUM_NETWORKS, NUM_IMAGES, NUM_CLASSES, SIZE = 3, 4, 5, 16


def networks_of(model: Model, size: int = SIZE) -> list[nn.Module]:
    mean, std = [0.5] * 3, [0.2] * 3
    return [
        build(model, mean=mean, std=std, size=size, num_classes=NUM_CLASSES, seed=seed).train()
        for seed in range(NUM_NETWORKS)
    ]


def images_of(size: int = SIZE) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (NUM_IMAGES, 3, size, size), generator=random)
    return images.to(torch.uint8).contiguous(memory_format=torch.channels_last)


def outputs_of(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)
    outputs: torch.Tensor = network(images)
    return outputs


def assert_close(found: torch.Tensor, expected: torch.Tensor, bound: float = 1e-5) -> None:
    assert (found - expected).abs().max() <= bound * expected.abs().max()


def check(networks: list[nn.Module], images: torch.Tensor) -> None:
    """Compare outputs and gradients in training, then state and outputs in evaluation."""
    stacked = stack(networks)
    together = outputs_of(stacked, images)
    alone = torch.cat([outputs_of(network, images) for network in networks], dim=1)
    assert_close(together, alone)
    together.square().sum().backward()
    alone.square().sum().backward()
    largest = max(
        float(p.grad.abs().max()) for n in networks for p in n.parameters() if p.grad is not None
    )
    for name, parameter in stacked.named_parameters():
        if not parameter.requires_grad:
            continue
        assert parameter.grad is not None
        for index, network in enumerate(networks):
            expected = network.get_parameter(name).grad
            assert expected is not None
            assert (parameter.grad[index] - expected).abs().max() <= 1e-5 * largest, name
    for index, network in enumerate(networks):
        own = network.state_dict()
        for name, tensor in weights_of(stacked, index, own).items():
            torch.testing.assert_close(tensor, own[name], rtol=1e-5, atol=1e-6)
    evaluated = torch.cat([network.eval()(images) for network in networks], dim=1)
    assert_close(stacked.eval()(images), evaluated)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_network_of_the_registry_is_stackable(name: str) -> None:
    model, size = small(name), small_size(name)
    assert is_stackable(model, 3, size, NUM_CLASSES)
    check(networks_of(model, size), images_of(size))


def test_rounding_hides_no_stackable_network() -> None:
    """In float32, gradients of these two differ by 1 %: the input of some ReLU is almost zero."""
    assert is_stackable(read_model("resnet18"), 3, 32, 10)


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        ((nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.Flatten()), 6),
        ((nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()), 6),
        ((nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(2), nn.Flatten()), 6),
        ((nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Flatten()), 6),
        ((nn.Conv2d(3, 4, 3), nn.Dropout2d(0.5), nn.Flatten()), 6),
        ((nn.Conv2d(3, 4, 3), nn.Dropout(0.3), nn.Flatten(), nn.Linear(64, 3, bias=False)), 6),
        ((nn.Conv2d(3, 4, 6), nn.Flatten(), nn.Dropout(1.0), nn.Linear(4, 3)), 6),
    ],
    ids=["groups", "groups first", "group norm", "batch norm", "dropout 2d", "dropout", "all"],
)
def test_every_layer_has_its_stacked_form(layers: tuple[nn.Module, ...], size: int) -> None:
    networks = []
    for seed in range(NUM_NETWORKS):
        torch.manual_seed(seed)
        network = nn.Sequential(*layers)
        for layer in network:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.reset_parameters()
        networks.append(copy.deepcopy(network))
    random = torch.Generator().manual_seed(0)
    images = torch.randn(NUM_IMAGES, 3, size, size, generator=random)
    check([*networks], images.contiguous(memory_format=torch.channels_last))


def test_a_stack_shares_nothing_with_the_networks() -> None:
    networks = networks_of(read_model("lenet"))
    before = [parameter.clone() for n in networks for parameter in n.parameters()]
    stacked = stack([networks[0]] * 2)
    with torch.no_grad():
        for parameter in stacked.parameters():
            parameter.zero_()
    after = [parameter for n in networks for parameter in n.parameters()]
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize(
    "layer",
    [
        nn.LayerNorm(4),
        nn.Conv1d(3, 4, 1),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.BatchNorm2d(3, affine=False),
        nn.GroupNorm(1, 3, affine=False),
    ],
)
def test_a_layer_without_stacked_form_is_refused(layer: nn.Module) -> None:
    with pytest.raises(NotStackable):
        stack([nn.Sequential(layer)] * 2)


class Concatenating(nn.Module):
    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(channels, 2, size), nn.Conv2d(channels, 2, size)
        self.out = nn.Linear(4, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        both = torch.cat([self.one(images), self.other(images)], dim=1).flatten(1)
        outputs: torch.Tensor = self.out(both)
        return outputs


class Branching(nn.Module):
    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(channels * size**2, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.out(images.flatten(1))
        return outputs if outputs.mean().item() > 1e9 else outputs / outputs.std()


class Unused(nn.Module):
    def __init__(self, channels: int, size: int, num_classes: int) -> None:
        super().__init__()
        self.out = nn.Linear(channels * size**2, num_classes)
        self.unused = nn.Linear(2, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.out(images.flatten(1))
        return outputs


@pytest.mark.parametrize("module", [Concatenating, Branching, Unused])
def test_a_network_that_would_compute_another_function_is_not_stackable(
    module: Callable[[int, int, int], nn.Module],
) -> None:
    class Own(Model):
        def network(self, *, channels: int, size: int, num_classes: int) -> nn.Module:
            return module(channels, size, num_classes)

    before = torch.get_rng_state()
    assert not is_stackable(Own(), 3, 8, NUM_CLASSES)
    assert torch.equal(torch.get_rng_state(), before)
