"""The networks of timm, `timm:NAME`."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from pydantic import Field

from cifar_exp.components.models.networks.base import LibraryModel
from cifar_exp.system.lazy_import import torch

SMALL = 64
"""Height and width in pixels up to which images are small: networks keep more of their pixels."""

PATCH_SIZES = {"vision_transformer": 4, "deit": 4, "convnext": 1, "swin_transformer": 2}
"""The patch size for small images, by the module of timm that defines the network.

With a patch size of 2, timm's ConvNeXts reduce images as much as with 4: their first stage then has
a stride of 2.
"""

IMAGE_SIZES = ("vision_transformer", "deit", "swin_transformer", "mlp_mixer")
"""The modules whose networks are built for one size of images."""


class Timm(LibraryModel):
    """A network of timm without pretrained weights; needs the extra `timm`.

    For images of at most 64 pixels, ResNets have a 3 x 3 stem of stride 1 and no max-pooling, and
    vision transformers and ConvNeXts smaller patches.
    """

    prefix: ClassVar[str] = "timm:"

    drop_rate: float = Field(default=0.0, ge=0, lt=1, description="dropout before the classifier")
    drop_path_rate: float = Field(default=0.0, ge=0, lt=1, description="stochastic depth")
    patch_size: int | None = Field(
        default=None, ge=1, description="patch size of networks that have one; default: by the size"
    )

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all networks."""
        names: list[str] = _timm().list_models()
        return names

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
        """Return the untrained network, see `Model.network`."""
        timm = _timm()
        module = timm.models.model_entrypoint(self.architecture).__module__.rpartition(".")[2]
        network: torch.nn.Module = timm.create_model(
            self.architecture,
            pretrained=False,
            num_classes=num_classes,
            in_chans=channels,
            **self._options(module, size),
        )
        if module == "resnet" and size <= SMALL:
            _keep_pixels(network, channels)
        return network

    def _options(self, module: str, size: int) -> dict[str, Any]:
        """Return the arguments that the network is built with; many networks lack some of them."""
        patch_size = self.patch_size or (PATCH_SIZES.get(module) if size <= SMALL else None)
        return {
            **({"drop_rate": self.drop_rate} if self.drop_rate else {}),
            **({"drop_path_rate": self.drop_path_rate} if self.drop_path_rate else {}),
            **({} if patch_size is None else {"patch_size": patch_size}),
            **({"img_size": size} if module in IMAGE_SIZES else {}),
        }


def _keep_pixels(network: Any, channels: int) -> None:
    """Replace the stem of a ResNet, which leaves a sixteenth of the pixels."""
    if isinstance(network.conv1, torch.nn.Conv2d):  # else it is already one of 3 x 3 convolutions
        outputs = network.conv1.out_channels
        network.conv1 = torch.nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
        torch.nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = torch.nn.Identity()


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise ValueError(f"needs a package: pip install 'cifar_exp[timm]' ({error})") from None
