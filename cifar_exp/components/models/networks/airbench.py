"""The network of Jordan's record trainings on CIFAR-10."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field

from cifar_exp.components.models.networks.base import Model
from cifar_exp.components.models.networks.plain import require_size
from cifar_exp.system.lazy_import import LazyModule, torch

if TYPE_CHECKING:
    from cifar_exp.components.models import blocks
else:  # it defines layers, so it imports torch
    blocks = LazyModule("cifar_exp.components.models.blocks")


WHITENED_IMAGES = 5000
"""Training images from which the first layer is computed, as in Jordan's code."""


class Airbench(Model):
    """The network of airbench94: six convolutions after a first layer that whitens 2 x 2 patches.

    The first layer's weights follow from the training images and are not trained. Images need at
    least 25 x 25 pixels. 1,972,792 parameters for CIFAR-10, 288 of them fixed. Source: Jordan 2024,
    94% on CIFAR-10 in 3.29 Seconds on a Single GPU.
    """

    name: ClassVar[str] = "airbench"

    width: float = Field(
        default=1.0, gt=0, le=16, description="factor of the channels: 64, 256 and 256"
    )

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        require_size(self.name, size, minimum=25)
        return blocks.airbench(self.width, channels=channels, size=size, num_classes=num_classes)

    def initialise(self, model: torch.nn.Module, images: torch.Tensor) -> None:
        """Compute the weights of the first layer from training images."""
        first = cast("torch.nn.Conv2d", model.get_submodule("network.0"))
        standardize = model.get_submodule("standardize")
        blocks.whiten(first, standardize(images[:WHITENED_IMAGES]))
