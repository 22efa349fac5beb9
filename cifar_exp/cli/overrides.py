"""Translates command line options into changes of a definition."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cifar_exp.errors import BadInput
from cifar_exp.experiment import Experiment, Override, definition_text, named, read
from cifar_exp.experiment.override import keys_of, options_of
from cifar_exp.system.formatting import printable

KEY_OF: Mapping[str, tuple[str, ...]] = {
    "trials": ("search", "trials"),
    "studies": ("search", "studies"),
    "epochs": ("epochs",),
    "seeds": ("confirm", "seeds"),
    "precision": ("precision",),
    "dataset": ("dataset", "type"),
    "data_dir": ("dataset", "path"),
}
"""Maps options of `run` and `plan` to the key path that each sets in a definition."""


SETTINGS_OF = ("loss", "optimizer", "schedule", "dataset", "model", "augment", "data_changes")
"""What `train` takes settings of."""


def read_definition(path: Path, options: Mapping[str, Any]) -> tuple[str, Experiment]:
    """Read a definition file that options of `run` and `plan` change; return also its text.

    Raises:
        DefinitionError: The definition, or an option, is invalid.
    """
    overrides = overrides_of(options)
    words = options_of(overrides)
    if options["dataset"] is not None:
        words = {("dataset", "path"): "--data-dir", **words}
    text = definition_text(path, overrides)
    return text, named.read(lambda: read(text, str(path), words))


def overrides_of(options: Mapping[str, Any]) -> list[Override]:
    """Return what options of `run` and `plan` set; another data set begins without settings."""
    given = [name for name in KEY_OF if options[name] is not None]
    return [
        *([Override(("dataset",), {}, "--dataset")] if "dataset" in given else []),
        *(
            Override(KEY_OF[name], _in_toml(options[name]), f"--{name.replace('_', '-')}")
            for name in given
        ),
        *map(override, options["overrides"]),
    ]


def _in_toml(value: int | str | Path) -> int | str:
    return str(value) if isinstance(value, Path) else value


def override(text: str) -> Override:
    """Parse an override such as `search.trials=5` or `losses."a.b"={}`.

    Raises:
        BadInput: It has another form.
    """
    key, equals, value = text.partition("=")
    option = f"-o {printable(key.strip())}"
    path = keys_of(key)
    if not (equals and path):
        raise BadInput(f"{option}: write KEY=VALUE, such as search.trials=5")
    return Override(path, _value(value), option)


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
