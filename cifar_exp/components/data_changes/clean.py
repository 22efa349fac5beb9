"""The data before they are changed, and the random numbers of changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from cifar_exp import seeds
from cifar_exp.components.datasets.split import SPLIT_SEED
from cifar_exp.components.validation import Problem, unknown, validation_error
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cifar_exp.components.datasets.source import Progress

TRAINING, VALIDATION = "training", "validation"


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanLabels:
    """The labels of a data set before they are changed.

    Attributes:
        name: The name of the data set in `DATASETS`.
        classes: The name of each class.
        of_split: int64; the labels of the training and the validation images.
        validation: The share of the training images that was drawn for validation.
        progress: Called with the progress of a download.
    """

    name: str
    classes: tuple[str, ...]
    of_split: Mapping[str, NDArray[np.int64]]
    validation: float
    progress: Progress


def draws(purpose: str, split: str, number: int) -> NDArray[np.uint64]:
    """Return a random number for each image of a split, which depends on the purpose only.

    It does not depend on the seed of an experiment, so that all experiments have the same changes.
    The raw stream of a NumPy bit generator never changes.
    """
    return np.random.PCG64(seeds.derive(purpose, SPLIT_SEED, split)).random_raw(number)


def first_of_class(
    labels: NDArray[np.int64], keys: NDArray[np.uint64], number_of: Callable[[int], int]
) -> NDArray[np.bool_]:
    """Return a mask of the rows of each class with the smallest keys.

    Args:
        labels: N class indices.
        keys: N random numbers.
        number_of: Returns how many rows of a class, from its index.
    """
    marked = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == label)
        marked[rows[np.argsort(keys[rows], kind="stable")[: number_of(label)]]] = True
    return marked


def read_by_type(kind: str, raw: Any, table: Mapping[str, type[BaseModel]]) -> Any:
    """Parse a table by its `type`; an instance is returned as it is."""
    if isinstance(raw, BaseModel):
        return raw
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        text = f"should be a table with its `type`: {', '.join(table)}"
        raise PydanticCustomError("table", "{text}", {"text": text})
    if raw["type"] not in table:
        message = unknown(kind, raw["type"], table)
        raise validation_error([Problem(path=("type",), message=message)])
    return table[raw["type"]].model_validate(raw)
