"""The base class of augmentations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cifar_exp.components.settings import Settings
from cifar_exp.components.table import Component
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    Draws = Mapping[str, torch.Tensor]
    """Random numbers by purpose, one per image: N float32, uniform in [0, 1)."""


class Augmentation(Settings, Component):
    """A random transformation of training images.

    The result of a call for an image depends on its own draws only, not on the rest of the batch.
    """

    purposes: ClassVar[tuple[str, ...]] = ()
    """Names of the random numbers drawn per image; each has its own random stream."""
    version: ClassVar[int] = 2
    """Increased when the results change, so that trainings of another version are not reused."""
    mixes: ClassVar[bool] = False
    """Whether images and labels are mixed with those of other images."""

    @property
    def all_purposes(self) -> tuple[str, ...]:
        """The purposes of all draws, with those of an augmentation that is applied before."""
        return self.purposes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of this augmentation and of one that is applied before."""
        return (self.name,)

    def identity(self) -> Any:
        """Return what the results depend on: the name, the version if it is not 1, the settings."""
        named = self.name if self.version == 1 else f"{self.name} {self.version}"
        settings = self.model_dump()
        return {"type": named, **settings} if settings else named

    def __str__(self) -> str:
        """Return the name, and the settings that are not the default ones."""
        changed = self.model_dump(exclude_defaults=True)
        return ", ".join([self.name, *(f"{name} = {value}" for name, value in changed.items())])

    def prepare(self, draws: Draws, batch_size: int) -> Draws:  # noqa: ARG002
        """Return the draws of an epoch as a step uses them; called on the CPU, once per epoch."""
        return draws

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Transform a batch.

        Args:
            images: N x C x H x W uint8, with the channels last in memory.
            draws: The random numbers by purpose, N each.

        Returns:
            Images of the same shape, with values 0 to 255 or, as float32, near that range.
        """
        raise NotImplementedError

    def mix(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        draws: Draws,  # noqa: ARG002
        num_classes: int,  # noqa: ARG002
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix transformed images and their labels with others of the batch; by default not at all.

        Args:
            images: N x C x H x W, as a call returns them.
            labels: N, int64.
            draws: The random numbers by purpose, N each.
            num_classes: Number of classes.

        Returns:
            The images, and their labels or the shares of the classes: N x num_classes, float32.
        """
        return images, labels
