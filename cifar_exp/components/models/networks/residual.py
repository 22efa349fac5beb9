"""Residual networks for small images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import Field

from cifar_exp.components.models.networks.base import Model
from cifar_exp.system.lazy_import import LazyModule, torch, torchvision

if TYPE_CHECKING:
    from cifar_exp.components.models import blocks
else:  # it defines layers, so it imports torch
    blocks = LazyModule("cifar_exp.components.models.blocks")


class ResNet18(Model):
    """The ResNet-18 for small images: a 3 x 3 stem of stride 1 and no max-pooling.

    11,173,962 parameters for CIFAR-10. Source: He et al. 2016, Deep Residual Learning for Image
    Recognition; torchvision's network and initial weights.
    """

    name: ClassVar[str] = "resnet18"

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:  # noqa: ARG002
        """Return the untrained network, see `Model.network`."""
        network = torchvision.models.resnet18(weights=None, num_classes=num_classes)
        network.conv1 = torch.nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        torch.nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        network.maxpool = torch.nn.Identity()
        return cast("torch.nn.Module", network)


class WideResNet16(Model):
    """The wide residual network WRN-16-4: 16 layers, 4 times as wide as a ResNet for CIFAR.

    2,748,890 parameters for CIFAR-10. Source: Zagoruyko and Komodakis 2016, Wide Residual Networks.
    """

    name: ClassVar[str] = "wrn_16_4"
    depth: ClassVar[int] = 16

    width: int = Field(default=4, ge=1, le=64, description="factor of the channels: 16, 32 and 64")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="dropout between the convolutions of a block"
    )

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:  # noqa: ARG002
        """Return the untrained network, see `Model.network`."""
        return blocks.wide_resnet(
            self.depth, self.width, self.dropout, channels=channels, num_classes=num_classes
        )


class WideResNet28(WideResNet16):
    """The wide residual network WRN-28-10: 28 layers, 10 times as wide as a ResNet for CIFAR.

    36,479,194 parameters for CIFAR-10. Source: Zagoruyko and Komodakis 2016, Wide Residual
    Networks.
    """

    name: ClassVar[str] = "wrn_28_10"
    depth: ClassVar[int] = 28

    width: int = Field(default=10, ge=1, le=64, description="factor of the channels: 16, 32 and 64")
