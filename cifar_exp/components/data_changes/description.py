"""What a command says about changed data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_exp.components.data_changes.clean import TRAINING, VALIDATION
from cifar_exp.components.metrics.by_frequency import frequencies
from cifar_exp.system.formatting import counted, listed
from cifar_exp.system.lazy_import import np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cifar_exp.components.data_changes.clean import CleanLabels
    from cifar_exp.components.data_changes.noise import LabelNoise
    from cifar_exp.components.datasets.derived import Change

CLASSES_NAMED = 12


def described(
    clean: CleanLabels, change: Change, classes: Sequence[str], noise: LabelNoise | None
) -> tuple[str, ...]:
    """Return sentences with the numbers of images that were left out and of changed labels."""
    train, val = clean.of_split[TRAINING], clean.of_split[VALIDATION]
    found = []
    if len(change.rows) < len(train):
        found.append(f"{len(change.rows)} of {len(train)} training images are kept")
        found.append(_by_class(train[change.rows], classes))
    if change.class_counts is not None:
        found.append(_by_frequency(np.array(change.class_counts)))
    if noise is not None:
        found.append(_wrong(TRAINING, train[change.rows], change.train_labels))
        if noise.in_validation:
            found.append(_wrong(VALIDATION, val, change.val_labels))
    return tuple(found)


def _by_class(labels: NDArray[np.int64], classes: Sequence[str]) -> str:
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    pairs = (f"{name} {count}" for name, count in zip(classes, counts, strict=True))
    return f"training images by class: {listed(pairs, CLASSES_NAMED)}"


def _by_frequency(counts: NDArray[np.int64]) -> str:
    groups = frequencies(counts)
    sizes = ", ".join(f"{int((groups.of_class == name).sum())} {name}" for name in groups.names)
    return (
        f"classes by frequency: {sizes} (many: more than {groups.many:.0f} training images, "
        f"few: fewer than {groups.few:.0f})"
    )


def _wrong(split: str, before: NDArray[np.int64], after: NDArray[np.int64]) -> str:
    number = int((before != after).sum())
    share = 100 * number / len(before)
    return f"{number} of {counted(len(before), f'{split} label')} are wrong ({share:.1f} %)"
