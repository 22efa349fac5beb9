"""Optimizers of libraries: names, settings and which of them can be used."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from cifar_exp.components.optimizers import OPTIMIZERS, Optimizer
from cifar_exp.components.optimizers.library import (
    LIBRARIES,
    LOW_RANK,
    OWN_RATE,
    UNSUITABLE,
    check_name,
)
from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import read_document
from tests.definitions import changed

pytest.importorskip("timm")
pytest.importorskip("pytorch_optimizer")

FEW = (
    *("timm:adamw", "timm:lion", "timm:sgd", "timm:lamb", "timm:nesterov", "timm:cadamw"),
    *(f"pytorch_optimizer:{name}" for name in ("adabelief", "lion", "sgdw", "schedulefreeadamw")),
)


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(3, 4, 3, bias=False)  # a bias has no gradient but rounding
    features = convolution, torch.nn.BatchNorm2d(4), torch.nn.ReLU()
    layers = torch.nn.Sequential(*features, torch.nn.Flatten(), torch.nn.Linear(64, 3))
    return layers.to(memory_format=torch.channels_last)  # as in a training


def make(name: str, **settings: Any) -> Optimizer:
    return OPTIMIZERS[name].model_validate(settings)


def train(name: str, lr: float = 0.01, num_steps: int = 3, **settings: Any) -> torch.nn.Sequential:
    """Return a network after some steps."""
    chosen, model = make(name, **settings), network()
    return stepped(model, chosen.build(model, lr), num_steps)


def stepped(
    model: torch.nn.Sequential, optimizer: torch.optim.Optimizer, num_steps: int
) -> torch.nn.Sequential:
    images = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for _ in range(num_steps):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), torch.arange(8) % 3).backward()
        optimizer.step()
    return model


@pytest.mark.parametrize("name", FEW)
def test_an_optimizer_of_a_library_trains(name: str) -> None:
    before, after = [*network().parameters()], [*train(name).parameters()]
    assert all(p.isfinite().all() for p in after)
    assert not all(map(torch.equal, before, after))


@pytest.mark.parametrize(
    ("name", "settings", "same"),
    [
        ("timm:adamw", {"beta1": 0.8, "weight_decay": 0.1}, "adamw"),
        ("pytorch_optimizer:adamw", {"beta1": 0.8, "weight_decay": 0.1}, "adamw"),
        ("timm:sgd", {"momentum": 0.9, "nesterov": True}, "sgd"),
        ("timm:rmsprop", {"alpha": 0.99, "momentum": 0.0}, "rmsprop"),
    ],
)
def test_the_steps_are_those_of_torch(name: str, settings: dict[str, Any], same: str) -> None:
    ours = train(same, **settings).parameters()
    for found, expected in zip(train(name, **settings).parameters(), ours, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_settings_follow_from_the_signature() -> None:
    adabelief = OPTIMIZERS["pytorch_optimizer:adabelief"]()
    values = dict(adabelief)
    assert {"beta1": 0.9, "beta2": 0.999, "rectify": False, "weight_decay": 0.0}.items() <= (
        values.items()
    )
    assert values.keys().isdisjoint({"params", "lr", "betas", "foreach", "maximize"})
    assert pickle.loads(pickle.dumps(adabelief)) == adabelief


def test_settings_named_like_a_property_reach_the_optimizer() -> None:
    for decoupled in (True, False):
        [group] = make("timm:adopt", decoupled=decoupled).build(network(), 0.1).param_groups
        assert group["decoupled"] == decoupled


@pytest.mark.parametrize("name", ["prodigy", "dadaptadam"])
def test_a_default_that_is_infinite_is_the_librarys(name: str) -> None:
    chosen = make(f"pytorch_optimizer:{name}")
    assert "growth_rate" not in dict(chosen)
    assert chosen.build(network(), 1.0).param_groups[0]["growth_rate"] == float("inf")


def test_weight_decay_can_leave_out_biases() -> None:
    groups = make("timm:lion", weight_decay=0.1, decay_bias=False).build(network(), 0.1)
    assert [group["weight_decay"] for group in groups.param_groups] == [0.1, 0.0]


@pytest.mark.parametrize(
    ("type_", "says"),
    [
        ("timm:lions", 'unknown optimizer "timm:lions"; did you mean "timm:lion"?'),
        ("pytorch_optimizer:lomo", "pytorch_optimizer:lomo needs the network"),
        ("timm:adahessian", "timm:adahessian needs the graph of the gradient"),
        ("timm:bnbadam", "timm:bnbadam needs a package for CUDA alone"),
        ("pytorch_optimizer:galore", "pytorch_optimizer:galore needs groups of low rank"),
        ("pytorch_optimizer:sgdp", "pytorch_optimizer:sgdp needs contiguous weights"),
        ("torch:adam", 'unknown optimizer "torch:adam"'),
    ],
)
def test_what_cannot_be_used_is_one_sentence(type_: str, says: str) -> None:
    document = changed({"optimizers": {"a": {"type": type_, "lr": 0.1}}})
    with pytest.raises(DefinitionError) as caught:
        read_document(document, "a.toml")
    [line] = str(caught.value).splitlines()
    assert says in line


def test_settings_are_checked_against_the_signature() -> None:
    document = changed({"optimizers": {"a": {"type": "timm:lion", "lr": 0.1, "beta3": 0.1}}})
    with pytest.raises(DefinitionError, match=r'a.beta3: unknown name; did you mean "beta[12]"'):
        read_document(document, "a.toml")
    document = changed({"optimizers": {"a": {"type": "timm:lion", "lr": 0.1, "beta1": "x"}}})
    with pytest.raises(DefinitionError, match=r"optimizers.a.beta1: should be a number"):
        read_document(document, "a.toml")


FAILING = [name for name, reason in UNSUITABLE.items() if reason not in (LOW_RANK, OWN_RATE)]
LONG = 15
"""Steps after which every optimizer moves: adashift keeps ten gradients first."""


def has_lr(name: str) -> bool:
    """Return whether the steps depend on the learning rate."""
    one, other = (train(name, lr=lr, num_steps=LONG).parameters() for lr in (0.01, 0.001))
    return not all(map(torch.equal, one, other))


@pytest.mark.chaos
@pytest.mark.parametrize("prefix", LIBRARIES)
def test_all_others_can_be_used(prefix: str) -> None:
    """Every optimizer of a library trains, or is named with a reason."""
    for own_name in LIBRARIES[prefix].names():
        name = f"{prefix}{own_name}"
        try:
            check_name(name)
        except ValueError as error:
            assert name in UNSUITABLE or "CUDA" in str(error), name  # noqa: PT017
            continue
        assert all(p.isfinite().all() for p in train(name).parameters()), name
        assert has_lr(name), name


@pytest.mark.chaos
@pytest.mark.parametrize("name", FAILING)
def test_those_with_a_reason_cannot(name: str) -> None:
    with pytest.raises(Exception, match=r"."):
        step(class_of(name))


@pytest.mark.chaos
@pytest.mark.parametrize("name", [name for name in UNSUITABLE if UNSUITABLE[name] == OWN_RATE])
def test_those_without_a_learning_rate_have_none(name: str) -> None:
    after = []
    for lr in (0.01, 0.001):
        model = network()
        after.append(stepped(model, class_of(name)(model.parameters(), lr=lr), LONG).parameters())
    assert all(map(torch.equal, *after))


@pytest.mark.parametrize("name", [name for name in UNSUITABLE if UNSUITABLE[name] == LOW_RANK])
def test_without_groups_of_low_rank_the_steps_are_those_of_adam(name: str) -> None:
    after = []
    for torch_class in (class_of(name), class_of("pytorch_optimizer:adam")):
        model = network()
        optimizer = torch_class(model.parameters(), lr=0.01, eps=1e-12)
        after.append(stepped(model, optimizer, 20).parameters())
    for found, expected in zip(*after, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def class_of(name: str) -> Any:
    library, own_name = LIBRARIES[f"{name.partition(':')[0]}:"], name.partition(":")[2]
    return library.find(own_name)[0]


def step(torch_class: Any) -> None:
    """Do a step with gradients that have no graph."""
    optimizer = torch_class([*network().parameters()], lr=0.01)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
