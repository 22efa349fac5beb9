"""Optimizers: their settings are passed to torch, their steps are correct, and they train."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from cifar_exp.components.optimizers import OPTIMIZERS, Optimizer
from cifar_exp.testing import check_optimizer

NAMES = sorted(OPTIMIZERS)
DECAYING = [name for name in NAMES if "weight_decay" in OPTIMIZERS[name].model_fields]
DECOUPLED: list[tuple[str, dict[str, Any]]] = [
    ("adamw", {}),
    ("nadam", {"decoupled_weight_decay": True}),
    ("radam", {"decoupled_weight_decay": True}),
    ("adafactor", {}),
    ("muon", {}),
]
COUPLED = [name for name in DECAYING if name not in {"adamw", "adafactor", "muon"}]

Given = dict[str, Any]
BETAS: tuple[Given, Given] = ({"beta1": 0.8, "beta2": 0.98}, {"betas": (0.8, 0.98)})
# Every setting of every optimizer with a value other than its default: those with the same name in
# torch, and those with another name, with the resulting value in torch.
OTHER_SETTINGS: list[tuple[str, Given, tuple[Given, Given]]] = [
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, ({}, {"dampening": 0})),
    ("sgd", {"momentum": 0.9, "dampening": 0.1}, ({}, {"nesterov": False})),
    ("adam", {"eps": 1e-6, "amsgrad": True}, BETAS),
    ("adamw", {"eps": 1e-6, "amsgrad": True, "weight_decay": 0.3}, BETAS),
    ("nadam", {"eps": 1e-6, "momentum_decay": 0.01, "decoupled_weight_decay": True}, BETAS),
    ("radam", {"eps": 1e-6, "decoupled_weight_decay": True}, BETAS),
    ("rmsprop", {"alpha": 0.9, "eps": 1e-6, "momentum": 0.5, "centered": True}, ({}, {})),
    ("adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-6}, ({}, {})),
    ("adadelta", {"rho": 0.8, "eps": 1e-5}, ({}, {})),
    ("adamax", {"eps": 1e-6}, BETAS),
    ("asgd", {"lambd": 0.1, "alpha": 0.5, "t0": 10.0}, ({}, {})),
    (
        "adafactor",
        {"beta2_decay": -0.5, "d": 2.0},
        ({"eps1": 1e-6, "eps2": 0.01}, {"eps": (1e-6, 0.01)}),
    ),
    (
        "rprop",
        {},
        (
            {"eta_minus": 0.4, "eta_plus": 1.5, "step_min": 1e-5, "step_max": 1.0},
            {"etas": (0.4, 1.5), "step_sizes": (1e-5, 1.0)},
        ),
    ),
    ("muon", {"momentum": 0.9, "nesterov": False, "ns_steps": 3, "weight_decay": 0.2}, BETAS),
]
PASSED_TO_TORCH = [
    (name, {**same, **ours}, {**same, **torchs}) for name, same, (ours, torchs) in OTHER_SETTINGS
]


def make(name: str, given_settings: dict[str, Any] | None = None) -> Optimizer:
    return OPTIMIZERS[name](**(given_settings or {}))


def network() -> torch.nn.Sequential:
    random = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 3),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=random))
    return model


def one_weight(value: float, gradient: float) -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, value)
    model.weight.grad = torch.full((1, 1), gradient)
    return model


def step(name: str, value: float, gradient: float, lr: float, **given_settings: Any) -> float:
    model = one_weight(value, gradient)
    make(name, given_settings).build(model, lr).step()
    return model.weight.item()


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    check_optimizer(name)


@pytest.mark.parametrize(("name", "given_settings", "expected"), PASSED_TO_TORCH)
def test_settings_are_passed_to_torch(
    name: str, given_settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    groups = make(name, given_settings).build(network(), 0.25).param_groups
    found = {key: value for group in groups for key, value in group.items()}
    assert {key: found[key] for key in expected} == expected
    assert {group["lr"] for group in groups} == {0.25}


def test_every_setting_is_in_the_list_of_passed_settings() -> None:
    decay = {"weight_decay", "decay_bias", "clip", "sam"}  # they have tests of their own
    reaching = {(name, key) for name, given, _ in PASSED_TO_TORCH for key in given.keys() - decay}
    every = {(name, key) for name in NAMES for key in OPTIMIZERS[name].model_fields.keys() - decay}
    assert reaching == every
    for name, given_settings, _ in PASSED_TO_TORCH:
        for key, value in given_settings.items():
            assert value != OPTIMIZERS[name].model_fields[key].default, (name, key)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"muon"}))
def test_defaults_are_those_of_torch(name: str) -> None:
    built = make(name).build(network(), 0.1)
    own = dict(built.param_groups[0], params=[])
    reference = type(built)(network().parameters(), lr=0.1)  # type: ignore[call-arg]
    expected = dict(reference.param_groups[0], params=[])
    own.pop("fused", None)  # affects how a step is computed, not its result
    expected.pop("fused", None)
    if name == "adafactor":  # its None stands for the type's own epsilon
        assert expected["eps"] == (None, 1e-3)
        expected["eps"] = (torch.finfo(torch.float32).eps, 1e-3)
    assert own == expected


def is_fused(name: str) -> bool:
    return bool(make(name).build(network(), 0.1).param_groups[0].get("fused"))


@pytest.mark.parametrize(
    ("name", "given_settings"),
    [
        *((name, {}) for name in NAMES if is_fused(name)),
        *((name, given_settings) for name, given_settings, _ in PASSED_TO_TORCH if is_fused(name)),
    ],
)
def test_fused_steps_equal_the_plain_ones(name: str, given_settings: dict[str, Any]) -> None:
    fused_model, plain_model = network(), network()
    fused = make(name, given_settings).build(fused_model, 0.01)
    groups = make(name, given_settings).build(plain_model, 0.01).param_groups
    plain = type(fused)([{**group, "fused": False} for group in groups])  # type: ignore[call-arg]
    random = torch.Generator().manual_seed(2)
    for _ in range(50):
        for one, other in zip(fused_model.parameters(), plain_model.parameters(), strict=True):
            one.grad = other.grad = torch.randn(one.shape, generator=random)
        fused.step()
        plain.step()
    for one, other in zip(fused_model.parameters(), plain_model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", DECAYING)
def test_decay_of_biases_is_a_choice(name: str) -> None:
    for decay_bias in (True, False):
        model = network()
        settings = make(name, {"weight_decay": 0.5, "decay_bias": decay_bias})
        groups = settings.build(model, 0.1).param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        for parameter in model.parameters():
            expected = 0.5 if decay_bias or parameter.ndim > 1 else 0.0
            assert decay[id(parameter)] == expected


def test_every_normalisation_and_bias_of_a_network_can_be_without_decay() -> None:
    nn = torch.nn
    kinds = (
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.LayerNorm(4),
        nn.InstanceNorm2d(4, affine=True),
    )
    model = nn.Sequential(nn.Conv2d(3, 4, 1), *kinds, nn.Linear(4, 2))
    settings = make("adamw", {"weight_decay": 0.5, "decay_bias": False})
    decayed, *_ = settings.build(model, 0.1).param_groups
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight), id(model[-1].weight)]


def clipped_by_hand(gradients: list[torch.Tensor], clip: float) -> list[torch.Tensor]:
    norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
    return [g * min(1, clip / (norm + 1e-6)) for g in gradients]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("clip", [0.5, 1e3])
def test_a_clipped_step_is_a_step_with_the_clipped_gradient(name: str, clip: float) -> None:
    clipped, plain = network(), network()
    optimizers = make(name, {"clip": clip}).build(clipped, 0.01), make(name).build(plain, 0.01)
    random = torch.Generator().manual_seed(3)
    for _ in range(3):
        drawn = [torch.randn(p.shape, generator=random) for p in plain.parameters()]
        by_hand = clipped_by_hand(drawn, clip)
        for p, q, full, scaled in zip(
            clipped.parameters(), plain.parameters(), drawn, by_hand, strict=True
        ):
            p.grad, q.grad = full.clone(), scaled
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(clipped.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_rprop_has_no_decay() -> None:
    assert set(NAMES) - set(DECAYING) == {"rprop"}
    assert "decay_bias" not in OPTIMIZERS["rprop"].model_fields


def test_steps_of_sgd_by_hand() -> None:
    assert step("sgd", 2.0, 3.0, lr=0.1) == pytest.approx(2.0 - 0.1 * 3.0)
    decayed = step("sgd", 2.0, 3.0, lr=0.1, weight_decay=0.5)
    assert decayed == pytest.approx(2.0 - 0.1 * (3.0 + 0.5 * 2.0))
    nesterov = step("sgd", 2.0, 3.0, lr=0.1, momentum=0.9, nesterov=True)
    assert nesterov == pytest.approx(2.0 - 0.1 * (3.0 + 0.9 * 3.0))


def test_first_step_of_adam_by_hand() -> None:
    # Corrected for bias, the first mean and root mean square are g and |g|.
    assert step("adam", 2.0, 3.0, lr=0.1) == pytest.approx(1.9)
    assert step("adamw", 2.0, 3.0, lr=0.1, weight_decay=0.5) == pytest.approx(2.0 * 0.95 - 0.1)
    assert step("adam", 2.0, 0.0, lr=0.1, weight_decay=0.5) == pytest.approx(1.9)


@pytest.mark.parametrize(("name", "given_settings"), DECOUPLED)
def test_decoupled_decay_only_shrinks_the_weight(name: str, given_settings: dict[str, Any]) -> None:
    value = step(name, 2.0, 0.0, lr=0.1, weight_decay=0.5, **given_settings)
    assert value == pytest.approx(2.0 * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_decay_is_a_part_of_the_gradient(name: str) -> None:
    value = step(name, 2.0, 0.0, lr=0.1, weight_decay=0.5)
    assert value == pytest.approx(step(name, 2.0, 0.5 * 2.0, lr=0.1, weight_decay=0.0))
    assert value < 2.0


@pytest.mark.parametrize(
    ("name", "given_settings"),
    [
        ("sgd", {"nesterov": True}),
        ("sgd", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
        ("sgd", {"momentum": 1.0}),
        ("adam", {"beta1": 1.0}),
        ("adam", {"eps": 0.0}),
        ("adam", {"weight_decay": float("inf")}),
        ("rprop", {"weight_decay": 0.1}),
        ("rprop", {"eta_plus": 0.9}),
        ("adafactor", {"beta2_decay": 0.5}),
        ("muon", {"ns_steps": 100}),
        *[(name, {"clip": -1.0}) for name in NAMES],
        *[(name, {"lr": 0.1}) for name in NAMES],
        *[(name, {"weight_decay": -0.1}) for name in DECAYING],
    ],
)
def test_bad_settings_are_rejected(name: str, given_settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make(name, given_settings)


@pytest.mark.parametrize("name", NAMES)
def test_settings_and_optimizers_are_described(name: str) -> None:
    description = OPTIMIZERS[name].__doc__
    assert description
    assert "Source" in description
    assert ("coupled" in description) == (name in DECAYING)
    assert all(field.description for field in OPTIMIZERS[name].model_fields.values())
