"""Augmentations that mix each image, and its label, with another one of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from cifar_exp.components.augmentations.base import Augmentation
from cifar_exp.components.validation import check_known
from cifar_exp.system.lazy_import import torch

if TYPE_CHECKING:
    from cifar_exp.components.augmentations.base import Draws

PARTNER = "mix partner"
SHARE = "mix share"


class _Mixing(Augmentation):
    """Mixes every image with one of the same batch, in random pairs.

    All images of a batch keep the same share, which has a Beta(alpha, alpha) distribution.
    """

    version: ClassVar[int] = 1
    mixes: ClassVar[bool] = True
    of_batch: ClassVar[tuple[str, ...]] = (SHARE,)
    """The purposes whose draws are the same for all images of a batch: those of its first image."""

    alpha: float = Field(
        default=1.0, gt=0, le=1000, description="the share has the distribution Beta(alpha, alpha)"
    )
    base: str = Field(
        default="none", description="augmentation of each image before they are mixed"
    )

    @field_validator("base")
    @classmethod
    def _known_base(cls, name: str) -> str:
        return check_known("augmentation", name, _unmixed())

    @property
    def all_purposes(self) -> tuple[str, ...]:
        """The purposes of all draws, with those of the base."""
        return (*self._base().all_purposes, *self.purposes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of this augmentation and its base."""
        return (self.name, *self._base().names)

    def identity(self) -> Any:
        """Return what the results depend on."""
        return {**super().identity(), "base": self._base().identity()}

    def prepare(self, draws: Draws, batch_size: int) -> Draws:
        """Return the draws with the same share, and what belongs to it, for a whole batch."""
        firsts = {purpose: draws[purpose][::batch_size] for purpose in self.of_batch}
        shared = {**firsts, SHARE: self._shares(firsts)}
        num_images = len(draws[SHARE])
        return {
            **draws,
            **{p: v.repeat_interleave(batch_size)[:num_images] for p, v in shared.items()},
        }

    def __call__(self, images: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Transform a batch by the base."""
        return self._base()(images, draws)

    def _base(self) -> Augmentation:
        return _unmixed()[self.base]()

    def _shares(self, firsts: Draws) -> torch.Tensor:
        """Return the share of each batch: the quantiles of Beta(alpha, alpha) at uniform draws."""
        from scipy.special import betaincinv  # noqa: PLC0415 - takes long to import

        quantiles = betaincinv(self.alpha, self.alpha, firsts[SHARE].double().numpy())
        return torch.from_numpy(quantiles).float()


class Mixup(_Mixing):
    """Mixup: share * image + (1 - share) * another image of the batch, and their labels likewise.

    Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization; as in the authors' code,
    one share and one permutation for each batch, and alpha = 1 for CIFAR-10.
    """

    name: ClassVar[str] = "mixup"
    purposes: ClassVar[tuple[str, ...]] = (PARTNER, SHARE)

    def mix(
        self, images: torch.Tensor, labels: torch.Tensor, draws: Draws, num_classes: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix images and labels."""
        partner, share = draws[PARTNER].argsort(), draws[SHARE]
        mixed = torch.lerp(_chosen(images, partner).float(), images.float(), _column(share))
        return mixed, _shares_of(labels, partner, share, num_classes)


class CutMix(_Mixing):
    """CutMix: a rectangle of each image is replaced by that of another image of the batch.

    It has the area 1 - share at a random centre, and is cut off at the border; the labels have the
    shares of the areas. A batch is mixed with the given probability.
    Source: Yun et al. 2019, CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features; as in the authors' code, one rectangle and one permutation for each batch,
    and probability 0.5 for CIFAR.
    """

    name: ClassVar[str] = "cutmix"
    purposes: ClassVar[tuple[str, ...]] = (PARTNER, SHARE, "cut", "cut down", "cut right")
    of_batch: ClassVar[tuple[str, ...]] = (SHARE, "cut", "cut down", "cut right")

    probability: float = Field(default=0.5, ge=0, le=1, description="share of batches that are cut")

    def _shares(self, firsts: Draws) -> torch.Tensor:
        shares = super()._shares(firsts)
        return torch.where(firsts["cut"] < self.probability, shares, torch.ones_like(shares))

    def mix(
        self, images: torch.Tensor, labels: torch.Tensor, draws: Draws, num_classes: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut images, and mix labels."""
        partner = draws[PARTNER].argsort()
        height, width = images.shape[2:]
        relative = (1 - draws[SHARE]).sqrt()
        rows = _between(draws["cut down"], relative, height)
        columns = _between(draws["cut right"], relative, width)
        cut = rows[:, None, :, None] & columns[:, None, None, :]
        kept = 1 - rows.sum(1) * columns.sum(1) / (height * width)
        mixed = torch.where(cut, _chosen(images, partner), images)
        return mixed, _shares_of(labels, partner, kept, num_classes)


def _between(centre: torch.Tensor, relative: torch.Tensor, size: int) -> torch.Tensor:
    """Return which of `size` places are within the cut (N x size): as in the authors' code.

    Args:
        centre: The centre as a share of the size, N.
        relative: The length as a share of the size, N.
        size: Height or width.
    """
    middle, half = (centre * size).long(), (relative * size).long() // 2
    places = torch.arange(size, device=centre.device)
    return (places >= (middle - half)[:, None]) & (places < (middle + half)[:, None])


def _chosen(images: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Return images by index, with the channels last in memory."""
    return images.permute(0, 2, 3, 1).index_select(0, indices).permute(0, 3, 1, 2)


def _column(share: torch.Tensor) -> torch.Tensor:
    return share[:, None, None, None]


def _shares_of(
    labels: torch.Tensor, partner: torch.Tensor, share: torch.Tensor, num_classes: int
) -> torch.Tensor:
    """Return the shares of the classes: that of the label, the rest for the partner's label."""
    shares = torch.zeros(len(labels), num_classes, device=labels.device)
    shares.scatter_add_(1, labels[:, None], share[:, None])
    return shares.scatter_add_(1, labels.index_select(0, partner)[:, None], 1 - share[:, None])


def _unmixed() -> dict[str, type[Augmentation]]:
    """Return the augmentations that mix nothing, by name."""
    from cifar_exp.components.augmentations import AUGMENTATIONS  # noqa: PLC0415 - made of these

    return {name: found for name, found in AUGMENTATIONS.items() if not found.mixes}
