"""Translates command line options into changes of a definition."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cifar_exp.components.validation import Options
from cifar_exp.errors import BadInput

KEY_OF: Mapping[str, tuple[int | str, ...]] = {
    "trials": ("search", "trials"),
    "studies": ("search", "studies"),
    "epochs": ("epochs",),
    "seeds": ("confirm", "seeds"),
    "precision": ("precision",),
    "dataset": ("dataset",),
    "data_dir": ("dataset", "path"),
}
"""Maps each option of `run` and `plan` to the key path that it sets in a definition."""


SETTINGS_OF = ("loss", "optimizer", "schedule", "dataset", "model", "augment", "data_changes")
"""What `train` takes settings of."""


def changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that options make to a definition, keyed like `search.trials`."""
    given = {".".join(map(str, KEY_OF[name])): options[name] for name in _given(options)}
    path = given.pop("dataset.path", None)
    if "dataset" in given:
        return {**given, "dataset": dataset(given["dataset"], path)}
    return given if path is None else {**given, "dataset.path": str(path)}


def words(options: Mapping[str, Any]) -> Options:
    """Return the name of each given option by the key path that it sets."""
    given = {KEY_OF[name]: f"--{name.replace('_', '-')}" for name in _given(options)}
    if options["dataset"] is None:
        return {**given}
    return {**given, ("dataset", "type"): "--dataset", ("dataset", "path"): "--data-dir"}


def _given(options: Mapping[str, Any]) -> list[str]:
    return [name for name in KEY_OF if options[name] is not None]


def dataset(name: str, path: Path | None) -> dict[str, str]:
    """Return a data set as a definition writes it."""
    return {"type": name} if path is None else {"type": name, "path": str(path)}


def settings(given: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Parse settings such as `loss.gamma=2` into a dictionary per component.

    Raises:
        BadInput: A setting has another form, is given twice, or names a component.
    """
    components: dict[str, dict[str, Any]] = {kind: {} for kind in SETTINGS_OF}
    for text in given:
        key, equals, value = text.partition("=")
        component, dot, name = key.partition(".")
        if not (equals and dot and component in components):
            raise BadInput(
                f"-s {text}: write loss.NAME=VALUE; or optimizer., schedule., dataset., model., "
                "augment., data_changes."
            )
        if name == "type" and component != "data_changes":
            raise BadInput(f"-s {text}: the {component} is named by --{component}")
        if name in components[component]:
            raise BadInput(f"-s {text}: {key} is given twice")
        components[component][name] = _value(value)
    return components


def values(given: Iterable[str]) -> dict[str, Any]:
    """Parse settings of one component, such as `gamma=2`.

    Raises:
        BadInput: A setting has another form.
    """
    parsed = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"-s {text}: write NAME=VALUE")
        parsed[name] = _value(value)
    return parsed


def _value(text: str) -> Any:
    """Parse a TOML value; text that is not exactly one TOML value is returned as it is."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # a number may have thousands of digits
        return text
    return read["value"] if len(read) == 1 else text
