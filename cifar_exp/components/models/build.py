"""Reads a network from a definition, and builds it for images of a given shape."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.models.networks.base import LibraryModel, Model
from cifar_exp.components.models.suggestion import LIBRARIES, unknown_model
from cifar_exp.components.plugins.registry import place_in_plugin
from cifar_exp.components.validation import Problem, name_and_settings, validation_error
from cifar_exp.system.formatting import first_line
from cifar_exp.system.lazy_import import torch


def read_model(raw: Any) -> Model:
    """Parse the name of a network, or a table with its `type` and settings.

    Raises:
        ValidationError, PydanticCustomError: It is not a network.
    """
    if isinstance(raw, Model):
        return raw
    name, given = name_and_settings("model", raw)
    if not isinstance(name, str):
        raise PydanticCustomError("model", "should be a name, or a table with its `type`")
    try:
        check_name(name)
    except ValueError as error:
        path = () if isinstance(raw, str) else ("type",)
        problem = Problem(path, str(error), unknown=("model", name))
        raise validation_error([problem]) from None
    return with_settings(name, given)


def with_settings(name: str, given: Mapping[str, Any]) -> Model:
    """Return the network of a known name with these settings.

    Raises:
        ValidationError: A setting is invalid.
    """
    library = _library(name)
    if library is None:
        return MODELS[name].model_validate(given)
    if "architecture" in given:
        known = sorted(library.model_fields.keys() - {"architecture"})
        message = f"unknown name; known are: {', '.join(known)}"
        raise validation_error([Problem(("architecture",), message)])
    return library.model_validate({**given, "architecture": name.removeprefix(library.prefix)})


def check_name(name: str) -> None:
    """Raise ValueError, with the nearest or all known names, if the network is unknown."""
    library = _library(name)
    if library is None:
        known = [*MODELS, *(f"{prefix}NAME" for prefix in LIBRARIES)]
    else:
        known = [f"{library.prefix}{architecture}" for architecture in library.names()]
    if name not in known:
        raise ValueError(unknown_model(name, known))


def _library(name: str) -> type[LibraryModel] | None:
    """Return the library that the prefix of a name belongs to."""
    return next((lib for prefix, lib in LIBRARIES.items() if name.startswith(prefix)), None)


def build(
    settings: Model,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int,
    num_classes: int,
    seed: int,
) -> torch.nn.Module:
    """Build a network that maps raw images to logits.

    Args:
        settings: The network.
        mean: Mean of each channel over the training images, in 0..1.
        std: Standard deviation of each channel, in 0..1.
        size: Height and width of the images, in pixels.
        num_classes: Number of logits.
        seed: Seed of the initial weights; the global random state is not changed.

    Returns:
        A Sequential of `standardize` and `network`: N x C x H x W uint8 to N x num_classes.

    Raises:
        ValueError: The network cannot be built, or cannot take images of this shape.
    """
    from cifar_exp.components.models.standardize import Standardize  # noqa: PLC0415 - imports torch

    channels = len(mean)
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would also reseed the GPUs.
        torch.default_generator.manual_seed(seed)
        try:
            network = settings.network(channels=channels, size=size, num_classes=num_classes)
        except (Exception, SystemExit) as error:
            if isinstance(error, ValueError) and place_in_plugin(error) is None:
                raise
            raise ValueError(f"model {settings.type} cannot be built: {_told(error)}") from error
    layers = OrderedDict(standardize=Standardize(mean, std), network=network)
    model = torch.nn.Sequential(layers)
    check_input(settings.type, model, channels=channels, size=size, num_classes=num_classes)
    if not any(True for _ in network.parameters()):
        raise ValueError(f"model {settings.type} has no parameters that can be trained")
    if settings.head == "cosine" or settings.weights is not None:
        try:
            _adapt(network, settings, torch.zeros(2, channels, size, size))
        except ValueError as error:
            raise ValueError(f"model {settings.type}: {error}") from error
    return model


def _adapt(network: torch.nn.Module, settings: Model, images: torch.Tensor) -> None:
    """Change the head of a network, load its pretrained weights and freeze them, as settings say.

    Raises:
        ValueError: The network has no suitable last layer, or the weights are not of it.
    """
    from cifar_exp.components.models import heads, pretrained  # noqa: PLC0415 - imports torch

    if settings.head == "cosine":
        heads.use_cosine_head(network, images)
    if settings.weights is not None:
        digest = settings.weights_digest
        pretrained.load_weights(network, settings.weights, images, digest=digest)
        if settings.frozen:
            pretrained.freeze(network, images)


def check_input(
    name: str, model: torch.nn.Module, *, channels: int, size: int, num_classes: int
) -> None:
    """Raise ValueError unless the model maps two raw images to two rows of logits."""
    images = torch.zeros(2, channels, size, size, dtype=torch.uint8)
    training = model.training
    try:
        with torch.no_grad():
            outputs = model.eval()(images)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"model {name} cannot take {channels} x {size} x {size} images: {_told(error)}"
        ) from error
    finally:
        model.train(training)
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(f"model {name} returns {type(outputs).__name__}, not a tensor of logits")
    shape = tuple(outputs.shape)
    if shape != (2, num_classes):
        raise ValueError(f"model {name} has outputs of shape {shape}, not {(2, num_classes)}")


def _told(error: BaseException) -> str:
    """Return the first line of an error, and its type and place if it is of a plug-in."""
    place = place_in_plugin(error)
    reason = first_line(error)
    if place is None:
        return reason
    kind = type(error).__name__
    return f"{kind}: {reason} ({place})" if reason else f"{kind} ({place})"
