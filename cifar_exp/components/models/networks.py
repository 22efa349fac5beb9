"""The networks: each function in `MODELS` builds one for images of a given shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from cifar_exp.system.lazy_import import LazyModule, torch, torchvision

if TYPE_CHECKING:
    from cifar_exp.components.models import onednn
else:  # it defines layers, so it imports torch
    onednn = LazyModule("cifar_exp.components.models.onednn")


MODELS: dict[str, Callable[..., torch.nn.Module]] = {}
"""All networks by name."""

Builder = TypeVar("Builder", bound=Callable[..., "torch.nn.Module"])


def network(build: Builder) -> Builder:
    """Register a function that builds a network in `MODELS`, under its own name.

    Raises:
        ValueError: The name is already registered.
    """
    if build.__name__ in MODELS:
        raise ValueError(f"there is a network {build.__name__!r} already")
    MODELS[build.__name__] = build
    return build


# Max-pooling is placed before ReLU: they commute in values and gradients, and the ReLU then
# processes a quarter of the elements.


@network
def seed_cnn(*, channels: int, size: int, num_classes: int) -> torch.nn.Module:
    """The project's original network: three 5 x 5 convolutions, two linear layers, no activations.

    Each convolution is followed by 2 x 2 max-pooling, so images need at least 8 x 8 pixels.
    Max-pooling is the only non-linear operation.
    """
    return _seed_cnn("seed_cnn", torch.nn.Identity, channels, size, num_classes)


@network
def seed_cnn_relu(*, channels: int, size: int, num_classes: int) -> torch.nn.Module:
    """The seed_cnn network with a ReLU after each convolution and after the first linear layer."""
    return _seed_cnn("seed_cnn_relu", torch.nn.ReLU, channels, size, num_classes)


def _seed_cnn(
    name: str,
    activation: Callable[[], torch.nn.Module],
    channels: int,
    size: int,
    num_classes: int,
) -> torch.nn.Module:
    _require_size(name, size, minimum=8)
    nn, conv = torch.nn, onednn.BlockedConv2d
    return nn.Sequential(
        onednn.BlockedSequential(
            *(conv(channels, 32, 5, padding=2), nn.MaxPool2d(2), activation()),
            *(conv(32, 32, 5, padding=2), nn.MaxPool2d(2), activation()),
            *(conv(32, 64, 5, padding=2), nn.MaxPool2d(2), activation()),
        ),
        nn.Flatten(),
        *(nn.Linear(64 * (size // 8) ** 2, 64), activation()),
        nn.Linear(64, num_classes),
    )


@network
def lenet(*, channels: int, size: int, num_classes: int) -> torch.nn.Module:
    """The small LeNet of PyTorch's 60-minute blitz: two 5 x 5 convolutions, three linear layers.

    ReLU and 2 x 2 max-pooling after each convolution; images need at least 16 x 16 pixels. 62,006
    parameters for CIFAR-10. Source: PyTorch tutorials, Training a Classifier, after LeCun et al.
    1998, Gradient-Based Learning Applied to Document Recognition.
    """
    _require_size("lenet", size, minimum=16)
    nn, conv = torch.nn, onednn.BlockedConv2d
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        onednn.BlockedSequential(
            *(conv(channels, 6, 5), nn.MaxPool2d(2), nn.ReLU()),
            *(conv(6, 16, 5), nn.MaxPool2d(2), nn.ReLU()),
        ),
        nn.Flatten(),
        *(nn.Linear(16 * side**2, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, num_classes),
    )


@network
def cifar10_3c3d(*, channels: int, size: int, num_classes: int) -> torch.nn.Module:
    """The 3c3d network of DeepOBS: three convolutions and three linear layers with ReLU.

    3 x 3 max-pooling with stride 2 after each convolution, padded on the right and at the bottom
    as TensorFlow's "same" does for even sizes; images need at least 16 x 16 pixels. Xavier initial
    weights, zero biases. 895,210 parameters for CIFAR-10. Source: Schneider et al. 2019, DeepOBS:
    A Deep Learning Optimizer Benchmark Suite.
    """
    _require_size("cifar10_3c3d", size, minimum=16)
    nn, conv = torch.nn, onednn.BlockedConv2d
    side = ((size - 4) // 2 - 2) // 2 // 2
    network = nn.Sequential(
        onednn.BlockedSequential(
            *(conv(channels, 64, 5), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()),
            *(conv(64, 96, 3), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()),
            *(conv(96, 128, 3, padding=1), nn.MaxPool2d(3, 2, ceil_mode=True), nn.ReLU()),
        ),
        nn.Flatten(),
        *(nn.Linear(128 * side**2, 512), nn.ReLU()),
        *(nn.Linear(512, 256), nn.ReLU()),
        nn.Linear(256, num_classes),
    )
    initialise = {
        4: nn.init.xavier_normal_,  # convolutions
        2: nn.init.xavier_uniform_,  # linear layers
        1: nn.init.zeros_,  # biases
    }
    for parameter in network.parameters():
        initialise[parameter.ndim](parameter)
    return network


@network
def resnet18(*, channels: int, size: int, num_classes: int) -> torch.nn.Module:  # noqa: ARG001
    """The ResNet-18 for small images: a 3 x 3 stem of stride 1 and no max-pooling.

    11,173,962 parameters for CIFAR-10. Source: He et al. 2016, Deep Residual Learning for Image
    Recognition; torchvision's network and initial weights.
    """
    network = torchvision.models.resnet18(weights=None, num_classes=num_classes)
    network.conv1 = torch.nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    torch.nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = torch.nn.Identity()
    return cast("torch.nn.Module", network)


def _require_size(name: str, size: int, *, minimum: int) -> None:
    if size < minimum:
        raise ValueError(
            f"model {name} needs images of at least {minimum} x {minimum} pixels, "
            f"not {size} x {size}"
        )
