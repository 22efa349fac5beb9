"""Sentences about the files of a folder that are not read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from cifar_exp.components.datasets.images.files import SUFFIXES, SplitFiles
from cifar_exp.system.formatting import counted, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHARED_CLASSES = 2
"""Classes in common that make a folder look like a split; one may be a coincidence."""
SUFFIX = re.compile(r"\.[a-z0-9_+-]{1,10}$")


def left_out_files(split: SplitFiles) -> list[str]:
    """Return a sentence with number, kinds and an example of the files of a split left out."""
    if not split.left_out:
        return []
    kind_of = {path: _kind(split.folder, path) for path in split.left_out}
    kinds = Counter(kind_of.values()).most_common()
    example = next(path for path, kind in kind_of.items() if kind == kinds[0][0])
    read = sum(map(len, split.images.values()))
    number = len(split.left_out)
    return [
        f"{number} of the {counted(number + read, 'file')} in {split.folder} are not read: "
        f"{listed(f'{count} {kind}' for kind, count in kinds)}; for example "
        f"{printable(example)} (images are read directly in the folder of their class, "
        f"from files that end in {' '.join(SUFFIXES)})"
    ]


def _kind(split: Path, path: str) -> str:
    """Return the suffix of a file, and where it is unless that is the folder of a class."""
    suffix = SUFFIX.search(path.lower())
    depth = len(Path(path).relative_to(split).parts)
    where = {1: " outside of a class", 2: ""}.get(depth, " in sub-folders of a class")
    return (suffix.group() if suffix else "without a suffix") + where


def left_out_splits(
    root: Path, read: Sequence[str], classes: Iterable[str], validation: float
) -> list[str]:
    """Return a sentence for each other folder that has folders of the same classes, such as val.

    Args:
        root: The folder around.
        read: The names of the folders that are read.
        classes: The classes.
        validation: The share of the training images that is for validation.
    """
    names = set(classes)
    return [
        f"{printable(str(root / name))} has folders of the same classes but is not read; "
        f"the validation images are {100 * validation:g} % of those in train"
        for name in sorted(folders_in(root) - set(read))
        if not name.startswith(".") and len(names & folders_in(root / name)) >= SHARED_CLASSES
    ]


def folders_in(folder: Path) -> set[str]:
    """Return the names of the folders in a folder; none if it cannot be read."""
    try:
        return {entry.name for entry in folder.iterdir() if entry.is_dir()}
    except OSError:  # without permission to list it
        return set()
