"""How a network is built for images of a given shape, by its name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import cast

from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.validation import quoted, suggestion
from cifar_exp.system.lazy_import import torch, torchvision

TORCHVISION = "torchvision:"


def check_name(name: str) -> None:
    """Raise ValueError, with the nearest or all choices, unless `build` knows the name."""
    prefixed = name.startswith(TORCHVISION)
    known = _torchvision_names() if prefixed else [*MODELS, f"{TORCHVISION}NAME"]
    if name not in known:
        raise ValueError(f"unknown model {quoted(name)}{suggestion(name, known)}")


def build(
    name: str,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int,
    num_classes: int,
    seed: int,
) -> torch.nn.Module:
    """Build a network that takes raw images and gives logits.

    Args:
        name: a key of MODELS, or torchvision:NAME for torchvision's classification networks.
        mean: of each channel over the training images, on the scale 0 to 1.
        std: the standard deviations, likewise.
        size: height and width of the images, in pixels.
        num_classes: number of logits.
        seed: the only thing the initial weights depend on; global random state stays as it is.

    Returns:
        A sequence of `standardize` and `network`, from N x C x H x W uint8 to N x num_classes.

    Raises:
        ValueError: the name is unknown, or the network cannot take images of this shape.
    """
    from cifar_exp.components.models.standardize import Standardize  # noqa: PLC0415 - it needs torch

    check_name(name)
    channels = len(mean)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would also reseed the GPUs.
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
        raise ValueError(f"model {name} gives outputs of shape {shape}, not {(2, num_classes)}")


def _builder(name: str) -> Callable[..., torch.nn.Module]:
    if name.startswith(TORCHVISION):
        return _torchvision_builder(name.removeprefix(TORCHVISION))
    return MODELS[name]


# These two give several outputs in training, unless told otherwise.
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
