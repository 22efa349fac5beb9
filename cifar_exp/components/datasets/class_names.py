"""Checks of class names, which are the names of folders."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.names import is_utf8, readable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def check_class_names(root: Path, names: Iterable[str]) -> None:
    """Check that the class folders in `root` can be recorded and told apart.

    Raises:
        DataError: A name is not UTF-8, or two names differ only in their Unicode normal form.
    """
    seen: dict[str, str] = {}
    for name in sorted(set(names)):
        if not is_utf8(name):
            raise DataError(
                f"The name of the class {readable(name)} in {readable(str(root))} is not UTF-8: "
                "rename its folders."
            )
        other = seen.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise DataError(
                f"Two classes in {root} look the same, {name!r}: their names are {other!a} "
                f"and {name!a}, two Unicode forms of one text. Rename the folders of one."
            )
