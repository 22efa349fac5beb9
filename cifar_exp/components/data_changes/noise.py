"""Label noise: images whose label is changed to a wrong class."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from cifar_exp.components.data_changes.cifar_n import human_labels, problem_of
from cifar_exp.components.data_changes.clean import CleanLabels, draws, first_of_class
from cifar_exp.components.data_changes.noise_maps import indices, published_map
from cifar_exp.components.datasets.source import Place
from cifar_exp.components.settings import Settings
from cifar_exp.components.validation import Problem
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROUNDING = 1e-9
"""Added before rounding down, as 0.29 * 100 is less than 29."""


class LabelNoise(Settings):
    """Label noise of the training images; the test labels always stay clean."""

    in_validation: bool = False
    """Whether the labels of the validation images are changed in the same way."""

    def problem_of(self, dataset: str) -> Problem | None:  # noqa: ARG002
        """Return what is wrong if the noise does not fit the name of a data set."""
        return None

    @abstractmethod
    def noisy(self, clean: CleanLabels, split: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the changed labels of some rows of a split.

        Raises:
            DefinitionError: The noise does not fit the data set.
            DataError: A file of labels is missing, or another one.
        """


class _OfARate(LabelNoise):
    rate: float = Field(gt=0, lt=1)
    """Share of the images of each class whose label is changed, rounded down to images."""

    def _chosen(
        self, labels: NDArray[np.int64], split: str, rows: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Return a mask of the share of each class; a smaller share is a part of a larger one."""
        keys = draws("label noise", split, int(rows.max(initial=0)) + 1)[rows]
        counts = np.bincount(labels)
        return first_of_class(
            labels, keys, lambda label: math.floor(self.rate * counts[label] + ROUNDING)
        )


class SymmetricNoise(_OfARate):
    """A share of each class gets the label of any other class, all with the same probability.

    Source: Ma et al. 2020, Normalized Loss Functions for Deep Learning with Noisy Labels.
    """

    type: Literal["symmetric"]

    def noisy(self, clean: CleanLabels, split: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the changed labels of some rows of a split."""
        labels, others = clean.of_split[split][rows], len(clean.classes) - 1
        drawn = draws("noisy label", split, int(rows.max(initial=0)) + 1)[rows]
        wrong = (labels + 1 + (drawn % np.uint64(others)).astype(np.int64)) % (others + 1)
        return np.where(self._chosen(labels, split, rows), wrong, labels)


def _check_map(names: Mapping[str, str]) -> Mapping[str, str]:
    same = [name for name, target in names.items() if name == target]
    if not names or same:
        text = 'should name each class with another one, such as { cat = "dog" }'
        raise PydanticCustomError("map", "{text}", {"text": text})
    return names


class AsymmetricNoise(_OfARate):
    """A share of some classes gets the label of the class that each is often mistaken for.

    Without `map`, as published for the classes of CIFAR-10, CIFAR-100 and of digits.
    Source: Patrini et al. 2017, Making Deep Neural Networks Robust to Label Noise.
    """

    type: Literal["asymmetric"]
    map: Annotated[dict[str, str], AfterValidator(_check_map)] | None = None
    """The class that each class is mistaken for, by name; other classes stay clean."""

    def noisy(self, clean: CleanLabels, split: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the changed labels of some rows of a split."""
        names = self.map or published_map(clean.name, clean.classes)
        target = np.arange(len(clean.classes))
        for source, other in indices(names, clean.classes).items():
            target[source] = other
        labels = clean.of_split[split][rows]
        return np.where(self._chosen(labels, split, rows), target[labels], labels)


class HumanNoise(LabelNoise):
    """CIFAR-N: the labels that people gave to the images of CIFAR-10 and CIFAR-100.

    The file is downloaded (2 MB, licence CC BY-NC 4.0). Source: Wei et al. 2022, Learning with
    Noisy Labels Revisited: A Study Using Real-World Human Annotations.
    """

    type: Literal["cifar_n"]
    labels: Literal["aggre", "random1", "random2", "random3", "worse", "noisy"]
    """Which labels: of cifar10 aggre (9 % wrong), random1, random2, random3 (17 to 18 %) or worse
    (40 %); of cifar100 noisy (40 %)."""
    path: Place | None = None
    """The folder that contains the official file, or the file; without it, it is downloaded."""

    def problem_of(self, dataset: str) -> Problem | None:
        """Return what is wrong if there are no such labels of a data set."""
        return problem_of(dataset, self.labels)

    def noisy(self, clean: CleanLabels, split: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the changed labels of some rows of a split."""
        return human_labels(clean, self.labels, self.path)[split][rows]


NOISES: dict[str, type[LabelNoise]] = {
    "symmetric": SymmetricNoise,
    "asymmetric": AsymmetricNoise,
    "cifar_n": HumanNoise,
}
"""The kinds of label noise by their `type`."""
