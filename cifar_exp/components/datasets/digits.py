"""The digits data set, which needs neither files nor a network connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from cifar_exp.components.datasets.source import (
    VALIDATION_FRACTION,
    Contents,
    Extent,
    Source,
    WithDrawnValidation,
    validation_key,
)
from cifar_exp.components.datasets.split import drawn_order
from cifar_exp.components.settings import Later
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import Allocate, Progress

ENLARGEMENT = 4
LARGEST_VALUE = 16
TEST_FRACTION = 0.2
CLASSES = tuple("0123456789")


class Digits(WithDrawnValidation):
    """The 1,797 handwritten digits of scikit-learn, enlarged to 3 x 32 x 32; needs no download."""

    name: ClassVar[str] = "digits"
    extent = Extent(images=1_259, size=32)
    fewest_validation: ClassVar[int] = 100  # it is for trying things out: 179 are no surprise

    validation: Annotated[float, Later()] = Field(
        default=VALIDATION_FRACTION,
        gt=0,
        lt=1 - TEST_FRACTION,
        description="The share of all images of each class that is for validation.",
    )

    def source(self) -> Source:
        """Return the source: the installed scikit-learn."""
        return DigitsSource(validation=self.validation)


@dataclass(frozen=True, kw_only=True)
class DigitsSource(Source):
    """The digits of scikit-learn, split by class: a fifth for testing, a tenth for validation.

    Attributes:
        validation: The share of all images for validation.
    """

    validation: float = VALIDATION_FRACTION

    @property
    def key(self) -> str:
        """A constant, as the images never change, and the share of validation."""
        return f"digits{validation_key(self.validation)}"

    def read(
        self,
        allocate: Allocate,
        downloads: Path,  # noqa: ARG002
        progress: Progress,
    ) -> Contents:
        """Write the images, see `Source.read`."""
        from sklearn.datasets import load_digits  # noqa: PLC0415

        values, labels = load_digits(return_X_y=True)
        order = drawn_order(labels, val=self.validation, test=TEST_FRACTION, classes=CLASSES)
        images = _enlarged(values[order.rows].reshape(-1, 8, 8))
        allocate(len(images), images.shape[1], 3)[:] = images[..., None]
        progress("reading digits", len(images), len(images))
        return Contents(
            classes=CLASSES, labels=labels[order.rows].astype(np.int64), counts=order.counts
        )


def _enlarged(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    pixels = np.rint(values * (255 / LARGEST_VALUE)).astype(np.uint8)
    return pixels.repeat(ENLARGEMENT, axis=1).repeat(ENLARGEMENT, axis=2)
