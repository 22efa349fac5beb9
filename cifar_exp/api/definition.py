"""Definitions from files, and the plug-ins that they name."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from cifar_exp.components.plugins import registry
from cifar_exp.errors import BadInput
from cifar_exp.experiment import Experiment, Override, definition_text, named, read
from cifar_exp.experiment.override import keys_of
from cifar_exp.experiment.shipped import find

Changes = Mapping[str, Any]
"""Changes of a definition by key, such as `{"search.trials": 5}`."""
NO_CHANGES: Changes = {}


def load(path: str | PathLike[str], changes: Changes = NO_CHANGES) -> Experiment:
    """Read a definition file.

    Args:
        path: The TOML file, or the name of a definition that comes with the package, such as
            `quickstart`.
        changes: Values that replace those of the file, by key.

    Raises:
        BadInput: The file cannot be read, or the definition is invalid. The message has one line
            per problem, with file and key.

    Example:
        ```python
        experiment = cifar_exp.load("mine.toml", {"search.trials": 3})
        ```
    """
    file = find(str(path))
    text = definition_text(file, [_override(*change) for change in changes.items()])
    return named.read(lambda: read(text, str(file)))


def _override(key: str, value: Any) -> Override:
    if path := keys_of(key):
        return Override(path, value, f"the change of {key}")
    raise BadInput(f"changes: {key!r} is no key, such as search.trials")


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
