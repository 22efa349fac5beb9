"""Class imbalance: fewer training images of the later classes."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from cifar_exp.components.settings import Settings

ROUNDING = 1e-9
"""Added before rounding down, as 4500 * 0.01 ** (9 / 9) may be less than 45."""


class Imbalance(Settings):
    """A profile of the numbers of training images over the classes, in the order of the labels."""

    ratio: float = Field(gt=1, le=1e6)
    """Number of images of the largest class divided by that of the smallest."""

    @abstractmethod
    def share(self, label: int, num_classes: int) -> float:
        """Return the number of images of a class as a share of that of the largest class."""

    def numbers(self, available: Sequence[int]) -> list[int]:
        """Return the number of images of each class: at least 1, at most those available."""
        largest, num_classes = max(available), len(available)
        wanted = (
            math.floor(largest * self.share(label, num_classes) + ROUNDING)
            for label in range(num_classes)
        )
        return [min(each, max(1, most)) for each, most in zip(available, wanted, strict=True)]


class ExponentialImbalance(Imbalance):
    """A long tail: n_c = n_max ratio^(-c / (C - 1)) images of class c.

    Source: Cao et al. 2019, Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss.
    """

    type: Literal["exponential"]

    def share(self, label: int, num_classes: int) -> float:
        """Return the number of images of a class as a share of that of the largest class."""
        return float(self.ratio ** (-label / (num_classes - 1)))


class StepImbalance(Imbalance):
    """Two sizes: n_max / ratio images in each class of the last half, n_max in the others.

    Source: Buda et al. 2018, A systematic study of the class imbalance problem in convolutional
    neural networks.
    """

    type: Literal["step"]

    def share(self, label: int, num_classes: int) -> float:
        """Return the number of images of a class as a share of that of the largest class."""
        return 1.0 if label < num_classes // 2 else 1 / self.ratio


IMBALANCES: dict[str, type[Imbalance]] = {
    "exponential": ExponentialImbalance,
    "step": StepImbalance,
}
"""The profiles by their `type`."""
