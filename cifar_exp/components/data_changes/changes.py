"""The table `[data_changes]` of a definition, and its application to a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from cifar_exp.components.data_changes.clean import (
    TRAINING,
    VALIDATION,
    CleanLabels,
    draws,
    first_of_class,
    read_by_type,
)
from cifar_exp.components.data_changes.description import described
from cifar_exp.components.data_changes.imbalance import (
    IMBALANCES,
    ExponentialImbalance,
    StepImbalance,
)
from cifar_exp.components.data_changes.noise import (
    NOISES,
    AsymmetricNoise,
    HumanNoise,
    SymmetricNoise,
)
from cifar_exp.components.datasets.derived import Change, derived
from cifar_exp.components.datasets.source import VALIDATION_FRACTION, no_progress
from cifar_exp.components.settings import Settings
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cifar_exp.components.datasets import Dataset, DatasetChoice, Progress


class DataChanges(Settings):
    """Changes of the training data, the same for all combinations; test images are never changed.

    First `subset` and then `imbalance` choose images, then `noise` changes labels.
    """

    noise: SymmetricNoise | AsymmetricNoise | HumanNoise | None = None
    """Wrong labels: `type` is symmetric, asymmetric or cifar_n."""
    imbalance: ExponentialImbalance | StepImbalance | None = None
    """Fewer training images of the later classes: `type` is exponential or step."""
    subset: float | None = Field(default=None, gt=0, lt=1)
    """Share of the training images of each class that is kept, at least one."""

    @field_validator("noise", mode="before")
    @classmethod
    def _read_noise(cls, raw: Any) -> Any:
        return None if raw is None else read_by_type("label noise", raw, NOISES)

    @field_validator("imbalance", mode="before")
    @classmethod
    def _read_imbalance(cls, raw: Any) -> Any:
        return None if raw is None else read_by_type("imbalance", raw, IMBALANCES)

    def counted(self) -> dict[str, Any]:
        """Return the settings that results depend on.

        The path of a file is left out: the fingerprint of the data has its content.
        """
        return self.model_dump(mode="json", exclude_none=True, exclude={"noise": {"path"}})

    def params(self) -> dict[str, str]:
        """Return the settings by the names under which a run records them, without paths."""
        found: dict[str, str] = {}
        for name, value in self.counted().items():
            if isinstance(value, dict):
                found |= {f"data_changes.{name}.{key}": str(each) for key, each in value.items()}
            else:
                found[f"data_changes.{name}"] = str(value)
        return found


def changed(
    data: Dataset, choice: DatasetChoice, changes: DataChanges, progress: Progress = no_progress
) -> Dataset:
    """Return a data set with the changes; its images stay mapped from a file.

    Args:
        data: The data set.
        choice: Its choice in the definition.
        changes: The changes.
        progress: Called with the progress.

    Raises:
        DefinitionError: The changes do not fit the data set.
        DataError: A file of labels cannot be used, or the cache cannot be written.
    """
    clean = CleanLabels(
        name=data.name,
        classes=data.classes,
        of_split={TRAINING: data.train.labels.numpy(), VALIDATION: data.val.labels.numpy()},
        validation=getattr(choice, "validation", VALIDATION_FRACTION),
        progress=progress,
    )
    rows = _kept(clean.of_split[TRAINING], len(data.classes), changes)
    change = Change(
        rows=rows,
        train_labels=_labels(clean, TRAINING, rows, changes),
        val_labels=_labels(clean, VALIDATION, np.arange(len(data.val)), changes),
        class_counts=_counts(clean, rows) if changes.imbalance is not None else None,
    )
    notes = described(clean, change, data.classes, changes.noise)
    return replace(derived(data, change, progress), changes=changes.params(), notes=notes)


def _counts(clean: CleanLabels, rows: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the number of training images of each class that are kept."""
    kept = clean.of_split[TRAINING][rows]
    return tuple(np.bincount(kept, minlength=len(clean.classes)).tolist())


def _kept(labels: NDArray[np.int64], num_classes: int, changes: DataChanges) -> NDArray[np.int64]:
    """Return the training images that are kept, ascending."""
    rows = np.arange(len(labels))
    if changes.subset is not None:
        share, counts = changes.subset, np.bincount(labels, minlength=num_classes)
        keys = draws("subset", TRAINING, len(labels))
        rows = np.flatnonzero(
            first_of_class(labels, keys, lambda label: max(1, round(share * counts[label])))
        )
    if changes.imbalance is not None:
        left = labels[rows]
        numbers = changes.imbalance.numbers(np.bincount(left, minlength=num_classes).tolist())
        keys = draws("imbalance", TRAINING, len(labels))[rows]
        rows = rows[first_of_class(left, keys, lambda label: numbers[label])]
    return rows


def _labels(
    clean: CleanLabels, split: str, rows: NDArray[np.int64], changes: DataChanges
) -> NDArray[np.int64]:
    """Return the labels of some rows of a split after the changes."""
    noise = changes.noise
    if noise is None or (split == VALIDATION and not noise.in_validation):
        return clean.of_split[split][rows]
    return noise.noisy(clean, split, rows)
