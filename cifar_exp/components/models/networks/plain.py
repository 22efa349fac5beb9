"""Plain networks: convolutions, poolings and linear layers in a row."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cifar_exp.components.models.networks.base import Model
from cifar_exp.system.lazy_import import LazyModule, torch

if TYPE_CHECKING:
    from cifar_exp.components.models import onednn
else:  # it defines layers, so it imports torch
    onednn = LazyModule("cifar_exp.components.models.onednn")

# Max-pooling is placed before ReLU: they commute in values and gradients, and the ReLU then
# processes a quarter of the elements.


class SeedCnn(Model):
    """The project's original network: three 5 x 5 convolutions, two linear layers, no activations.

    Each convolution is followed by 2 x 2 max-pooling, so images need at least 8 x 8 pixels.
    Max-pooling is the only non-linear operation.
    """

    name: ClassVar[str] = "seed_cnn"

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        return self._layers(torch.nn.Identity, channels, size, num_classes)

    def _layers(
        self, activation: Callable[[], torch.nn.Module], channels: int, size: int, num_classes: int
    ) -> torch.nn.Module:
        require_size(self.name, size, minimum=8)
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


class SeedCnnRelu(SeedCnn):
    """The seed_cnn network with a ReLU after each convolution and after the first linear layer."""

    name: ClassVar[str] = "seed_cnn_relu"

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        return self._layers(torch.nn.ReLU, channels, size, num_classes)


class LeNet(Model):
    """The small LeNet of PyTorch's 60-minute blitz: two 5 x 5 convolutions, three linear layers.

    ReLU and 2 x 2 max-pooling after each convolution; images need at least 16 x 16 pixels. 62,006
    parameters for CIFAR-10. Source: PyTorch tutorials, Training a Classifier, after LeCun et al.
    1998, Gradient-Based Learning Applied to Document Recognition.
    """

    name: ClassVar[str] = "lenet"

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        require_size(self.name, size, minimum=16)
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


class ThreeConvolutionsThreeLinear(Model):
    """The 3c3d network of DeepOBS: three convolutions and three linear layers with ReLU.

    3 x 3 max-pooling with stride 2 after each convolution, padded on the right and at the bottom
    as TensorFlow's "same" does for even sizes; images need at least 16 x 16 pixels. Xavier initial
    weights, zero biases. 895,210 parameters for CIFAR-10. Source: Schneider et al. 2019, DeepOBS:
    A Deep Learning Optimizer Benchmark Suite.
    """

    name: ClassVar[str] = "cifar10_3c3d"

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        require_size(self.name, size, minimum=16)
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


class Mlp(Model):
    """A multi-layer perceptron: linear layers of the same width with ReLU, on flattened images.

    1,841,162 parameters for CIFAR-10.
    """

    name: ClassVar[str] = "mlp"

    width: int = Field(default=512, ge=1, le=65536, description="outputs of each hidden layer")
    depth: int = Field(default=2, ge=0, le=64, description="number of hidden layers")

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        nn = torch.nn
        widths = [channels * size**2, *[self.width] * self.depth]
        hidden = [
            layer
            for inputs, outputs in pairwise(widths)
            for layer in (nn.Linear(inputs, outputs), nn.ReLU())
        ]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], num_classes))


def require_size(name: str, size: int, *, minimum: int) -> None:
    """Check that images are large enough.

    Raises:
        ValueError: They are smaller than `minimum` pixels.
    """
    if size < minimum:
        raise ValueError(
            f"model {name} needs images of at least {minimum} x {minimum} pixels, "
            f"not {size} x {size}"
        )
