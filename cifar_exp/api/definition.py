"""Definitions from files, and the plug-ins that they name."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from cifar_exp.components.plugins import registry
from cifar_exp.experiment import Experiment, definition_text, named, read

Changes = Mapping[str, Any]
"""Changes of a definition by key, such as `{"search.trials": 5}`."""
NO_CHANGES: Changes = {}


def load(path: str | PathLike[str], changes: Changes = NO_CHANGES) -> Experiment:
    """Read a definition file.

    Args:
        path: The TOML file.
        changes: Values that replace those of the file, by key.

    Raises:
        BadInput: The file cannot be read, or the definition is invalid. The message has one line
            per problem, with file and key.

    Example:
        ```python
        experiment = cifar_exp.load("mine.toml", {"search.trials": 3})
        ```
    """
    text = definition_text(Path(path), changes)
    return named.read(lambda: read(text, str(path)))


def load_plugins(*files: str | PathLike[str]) -> None:
    """Import files with components of your own, which definitions can then name.

    A file that has changed is imported again; load or build the definition again after it.

    Args:
        files: Python files, see docs/plugins.md.

    Raises:
        BadInput: A file cannot be imported, defines no component, or a name that is taken.

    Example:
        ```python
        cifar_exp.load_plugins("my.py")
        ```
    """
    registry.load_again(registry.files(map(Path, files)))
