"""The classification networks of torchvision, `torchvision:NAME`."""

from __future__ import annotations

from typing import ClassVar, cast

from cifar_exp.components.models.networks.base import LibraryModel
from cifar_exp.system.lazy_import import torch, torchvision

# These two have auxiliary outputs in training by default.
_WITHOUT_AUXILIARY_HEADS: dict[str, dict[str, bool]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


class Torchvision(LibraryModel):
    """A classification network of torchvision, for images of 3 channels."""

    prefix: ClassVar[str] = "torchvision:"

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all networks."""
        names: list[str] = torchvision.models.list_models(module=torchvision.models)
        return names

    def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:  # noqa: ARG002
        """Return the untrained network, see `Model.network`."""
        network = torchvision.models.get_model(
            self.architecture,
            weights=None,
            num_classes=num_classes,
            **_WITHOUT_AUXILIARY_HEADS.get(self.architecture, {}),
        )
        return cast("torch.nn.Module", network)
