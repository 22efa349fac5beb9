"""The contract of networks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cifar_exp.components.models import Model, build
from cifar_exp.components.models.last_layer import last_layer
from cifar_exp.components.plugins import registry
from cifar_exp.testing.contract import Checks, Result, hold, run, with_settings
from cifar_exp.training.group.stackable import is_stackable
from cifar_exp.training.network_file import save_network

CHANNELS, SIZE, CLASSES = 3, 32, 10
OTHER_SHAPES = ((1, 28), (3, 64))
IMAGES = 16
RATES = (0.01, 0.001)
STEPS = 15
LEAST_FALL = 0.95


def check_network(network: Any) -> list[Result]:
    """Check the contract of a network, for images of 3 x 32 x 32 and ten classes.

    Args:
        network: Its name, a `Model` with settings, or a class or function that `@cifar_exp.network`
            marks.

    Raises:
        ContractError: Something does not hold.
    """
    component: Model = with_settings("models", network)
    return hold(f"model {component.name}", results(component))


def results(model: Model) -> list[Result]:
    """Return the result of every check of a network."""
    return run(CHECKS, model)


def _build(
    model: Model, *, channels: int = CHANNELS, size: int = SIZE, seed: int = 0
) -> torch.nn.Module:
    mean, std = [0.5] * channels, [0.25] * channels
    return build(model, mean=mean, std=std, size=size, num_classes=CLASSES, seed=seed)


def _images(count: int = IMAGES) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    shape = (count, CHANNELS, SIZE, SIZE)
    return torch.randint(256, shape, generator=random, dtype=torch.uint8)


def _coloured(labels: torch.Tensor) -> torch.Tensor:
    """Return noise with a colour for each class."""
    colours = torch.rand(CLASSES, CHANNELS, 1, 1, generator=torch.Generator().manual_seed(1))
    return (0.3 * _images(len(labels)) + 0.7 * 255 * colours[labels]).to(torch.uint8)


def _weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def _logits(model: Model) -> str:
    logits = _build(model)(_images())
    assert logits.shape == (IMAGES, CLASSES), f"they have shape {tuple(logits.shape)}"
    assert logits.dtype == torch.float32, f"they are {logits.dtype}"
    assert logits.isfinite().all(), "one is not finite"
    others = [f"{c} x {s} x {s}" for c, s in OTHER_SHAPES if _takes(model, c, s)]
    also = f", also of {', '.join(others)}" if others else " only"
    return f"for images of {CHANNELS} x {SIZE} x {SIZE}{also}"


def _takes(model: Model, channels: int, size: int) -> bool:
    try:
        _build(model, channels=channels, size=size)
    except ValueError:
        return False
    return True


def _seed(model: Model) -> str:
    first, again, other = (_weights(_build(model, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again), "they differ for the same seed: draw them with torch alone"
    assert not torch.equal(first, other), "they do not depend on the seed"
    return f"{len(first):,} weights"


def _gradients(model: Model) -> str:
    network = _build(model)
    labels = torch.arange(IMAGES) % CLASSES
    torch.nn.functional.cross_entropy(network(_images()), labels).backward()
    without = [key for key, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, f"none reaches {without[0].removeprefix('network.')}"
    wrong = [k for k, p in network.named_parameters() if p.grad is not None and not _ok(p.grad)]
    assert not wrong, f"one of {wrong[0].removeprefix('network.')} is not finite"
    return "finite, for every weight"


def _ok(tensor: torch.Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _alone(model: Model) -> str:
    network = _build(model).eval()
    images = _images(4)
    with torch.no_grad():
        together, alone = network(images), torch.cat([network(image[None]) for image in images])
    assert torch.allclose(together, alone, rtol=1e-3, atol=1e-4), (
        "in evaluation the logits of an image depend on the other images"
    )
    return "in evaluation, an image's logits are the same in any batch"


def _falls(model: Model) -> str:
    shares = []
    for lr in RATES:
        step, share = _fall(model, lr)
        if share < LEAST_FALL:
            return f"to {share:.0%} after {step} steps of Adam with lr {lr:g}"
        shares.append(f"to {share:.0%} with lr {lr:g}")
    raise AssertionError(f"{STEPS} steps of Adam do not lower the loss ({', '.join(shares)})")


def _fall(model: Model, lr: float) -> tuple[int, float]:
    """Return the step at which the loss has fallen, and its value as a share of the first."""
    network = _build(model)
    optimizer = torch.optim.Adam(network.parameters(), lr)
    labels = torch.arange(IMAGES) % CLASSES
    images = _coloured(labels)
    first = share = 0.0
    with torch.random.fork_rng(devices=[]):
        for step in range(STEPS + 1):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            optimizer.step()
            first = first or loss.item()
            share = loss.item() / first
            if share < LEAST_FALL:
                return step, share
    return STEPS, share


def _stored(model: Model) -> str:
    """Store the network and load it without the plug-in, as another program does."""
    network = _build(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.pth"
        save_network(network, path)
        loaded = _without_plugins(lambda: torch.load(path, weights_only=False))
    with torch.no_grad():
        same = torch.equal(loaded(_images(2)), network.eval()(_images(2)))
    assert same, "the loaded network has other logits"
    return "loads without the plug-in, with the same logits"


def _without_plugins(load: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    names = [module.__name__ for module in registry.modules()]
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        return load()
    finally:
        sys.modules.update(hidden)


def _group(model: Model) -> str:
    if is_stackable(model, CHANNELS, SIZE, CLASSES):
        return "networks train together, and compute the same as alone"
    return "no form for groups: networks train one by one"


def _last(model: Model) -> str:
    network = _build(model).get_submodule("network")
    try:
        return last_layer(network, _images().float())
    except ValueError as error:
        return f"not known: {error}"


CHECKS: Checks[Model] = {
    "logits": _logits,
    "initial weights": _seed,
    "gradients": _gradients,
    "images by themselves": _alone,
    "falls": _falls,
    "stored": _stored,
    "last layer": _last,
    "group": _group,
}
