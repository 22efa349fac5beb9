"""Builds a network by name for images of a given shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import cast

from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.models.suggestion import TORCHVISION, unknown_model
from cifar_exp.system.lazy_import import torch, torchvision


def check_name(name: str) -> None:
    """Raise ValueError, with the nearest or all known names, if the network is unknown."""
    prefixed = name.startswith(TORCHVISION)
    known = _torchvision_names() if prefixed else [*MODELS, f"{TORCHVISION}NAME"]
    if name not in known:
        raise ValueError(unknown_model(name, known))


def build(
    name: str,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int,
    num_classes: int,
    seed: int,
) -> torch.nn.Module:
    """Build a network that maps raw images to logits.

    Args:
        name: A key of MODELS, or torchvision:NAME for torchvision's classification networks.
        mean: Mean of each channel over the training images, in 0..1.
        std: Standard deviation of each channel, in 0..1.
        size: Height and width of the images, in pixels.
        num_classes: Number of logits.
        seed: Seed of the initial weights; the global random state is not changed.

    Returns:
        A Sequential of `standardize` and `network`: N x C x H x W uint8 to N x num_classes.

    Raises:
        ValueError: The name is unknown, or the network cannot take images of this shape.
    """
    from cifar_exp.components.models.standardize import Standardize  # noqa: PLC0415 - imports torch

    check_name(name)
    channels = len(mean)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also reseed the GPUs.
        torch.default_generator.manual_seed(seed)
        network = _builder(name)(channels=channels, size=size, num_classes=num_classes)
    layers = OrderedDict(standardize=Standardize(mean, std), network=network)
    model = torch.nn.Sequential(layers)
    check_input(name, model, channels=channels, size=size, num_classes=num_classes)
    return model


def check_input(
    name: str, model: torch.nn.Module, *, channels: int, size: int, num_classes: int
) -> None:
    """Raise ValueError unless the model maps two raw images to two rows of logits."""
    images = torch.zeros(2, channels, size, size, dtype=torch.uint8)
    training = model.training
    try:
        with torch.no_grad():
            shape = tuple(model.eval()(images).shape)
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"model {name} cannot take {channels} x {size} x {size} images: {reason}"
        ) from error
    finally:
        model.train(training)
    if shape != (2, num_classes):
        raise ValueError(f"model {name} has outputs of shape {shape}, not {(2, num_classes)}")


def _builder(name: str) -> Callable[..., torch.nn.Module]:
    if name.startswith(TORCHVISION):
        return _torchvision_builder(name.removeprefix(TORCHVISION))
    return MODELS[name]


# These two have auxiliary outputs in training by default.
_WITHOUT_AUXILIARY_HEADS: dict[str, dict[str, bool]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def _torchvision_builder(architecture: str) -> Callable[..., torch.nn.Module]:
    options = _WITHOUT_AUXILIARY_HEADS.get(architecture, {})

    def builder(*, channels: int, size: int, num_classes: int) -> torch.nn.Module:  # noqa: ARG001
        network = torchvision.models.get_model(
            architecture, weights=None, num_classes=num_classes, **options
        )
        return cast("torch.nn.Module", network)

    return builder


def _torchvision_names() -> list[str]:
    names = torchvision.models.list_models(module=torchvision.models)
    return [f"{TORCHVISION}{name}" for name in names]
