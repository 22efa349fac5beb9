"""Muon on whole networks against torch's Muon and AdamW on parameters flattened by hand."""

from __future__ import annotations

import copy

import pytest
import torch

from cifar_exp.components.muon_adamw import MuonAdamW

FORMATS = [torch.contiguous_format, torch.channels_last]


def convolution(memory_format: torch.memory_format = torch.contiguous_format) -> torch.nn.Conv2d:
    random = torch.Generator().manual_seed(0)
    layer = torch.nn.Conv2d(3, 8, 3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
    return layer.to(memory_format=memory_format)


def set_gradients(model: torch.nn.Module, step: int) -> None:
    random = torch.Generator().manual_seed(100 + step)
    for parameter in model.parameters():
        value = torch.randn(parameter.shape, generator=random)
        parameter.grad = torch.empty_like(parameter).copy_(value)


def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        set_gradients(model, step)
        optimizer.step()


def make(model: torch.nn.Module) -> MuonAdamW:
    return MuonAdamW([{"params": list(model.parameters())}], 0.02, weight_decay=0.1)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_convolution_equals_torch_muon_on_its_matrix(memory_format: torch.memory_format) -> None:
    layer = convolution(memory_format)
    assert layer.weight.is_contiguous(memory_format=memory_format)
    matrix = torch.nn.Parameter(convolution().weight.detach().reshape(8, 27).clone())
    bias = torch.nn.Parameter(convolution().bias.detach().clone())  # type: ignore[union-attr]
    muon = torch.optim.Muon([matrix], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([bias], lr=0.02, weight_decay=0.1)
    optimizer = make(layer)
    for step in range(4):
        set_gradients(layer, step)
        assert layer.weight.grad is not None
        assert layer.bias is not None
        assert layer.bias.grad is not None
        matrix.grad = layer.weight.grad.contiguous().view(8, 27).clone()
        bias.grad = layer.bias.grad.clone()
        for each in (optimizer, muon, adamw):
            each.step()
    assert torch.equal(layer.weight.detach().reshape(8, 27), matrix)
    assert layer.bias is not None
    assert torch.equal(layer.bias, bias)
    assert layer.weight.is_contiguous(memory_format=memory_format)


def test_gradient_in_another_layout_than_its_weight() -> None:
    layers = [convolution(torch.channels_last), convolution()]
    for layer in layers:
        set_gradients(layer, 0)
    weight = layers[0].weight
    assert weight.grad is not None
    # Only the other layout's strides: autograd gives the weight's, a user's own code may not.
    weight.grad = weight.grad.contiguous()
    for layer in layers:
        make(layer).step()
    assert torch.equal(layers[0].weight, layers[1].weight)


@pytest.mark.parametrize("saved_in", FORMATS)
@pytest.mark.parametrize("loaded_in", FORMATS)
def test_state_round_trips_whatever_the_layout(
    saved_in: torch.memory_format, loaded_in: torch.memory_format
) -> None:
    whole, first = convolution(), convolution(saved_in)
    train(whole, make(whole), range(5))
    optimizer = make(first)
    train(first, optimizer, range(3))
    state = copy.deepcopy(optimizer.state_dict())
    second = copy.deepcopy(first).to(memory_format=loaded_in)
    resumed = make(second)
    resumed.load_state_dict(state)
    train(second, resumed, range(3, 5))
    for one, other in zip(second.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_layout_changed_between_steps() -> None:
    still, moved = convolution(), convolution()
    train(still, make(still), range(4))
    optimizer = make(moved)
    train(moved, optimizer, range(2))
    moved.to(memory_format=torch.channels_last)
    train(moved, optimizer, range(2, 4))
    assert torch.equal(still.weight, moved.weight)


def test_which_rule_a_parameter_gets() -> None:
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    )
    model.register_parameter("token", torch.nn.Parameter(torch.zeros(1, 1, 4)))
    rules = {
        parameter: group["rule"]
        for group in make(model).param_groups
        for parameter in group["params"]
    }
    assert {name: rules[parameter] for name, parameter in model.named_parameters()} == {
        "token": "adamw",
        "0.weight": "muon",
        "0.bias": "adamw",
        "1.weight": "adamw",
        "1.bias": "adamw",
        "3.weight": "muon",
        "3.bias": "adamw",
    }


def test_it_is_a_torch_optimizer() -> None:
    layer = convolution()
    optimizer = make(layer)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.0)
    set_gradients(layer, 0)
    assert optimizer.step(lambda: 7.0) == 7.0
    schedule.step()
    before = layer.weight.detach().clone()
    optimizer.step()
    assert torch.equal(layer.weight, before)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in layer.parameters())
    optimizer.step()
    assert torch.equal(layer.weight, before)


def test_a_step_has_the_size_of_the_learning_rate() -> None:
    layer = torch.nn.Linear(64, 64, bias=False)
    before = layer.weight.detach().clone()
    set_gradients(layer, 0)
    MuonAdamW([{"params": list(layer.parameters())}], 0.01, weight_decay=0.0).step()
    # AdamW's steps have a root mean square of 0.2 to 0.4 learning rates.
    size = (layer.weight - before).square().mean().sqrt().item()
    assert 0.1 * 0.01 < size < 0.4 * 0.01
