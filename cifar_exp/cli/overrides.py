"""What is typed on the command line, in terms of a definition."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cifar_exp.components.datasets import DATASETS
from cifar_exp.components.validation import Options
from cifar_exp.errors import BadInput
from cifar_exp.experiment import Experiment

MOST_UNASKED = 10_000
"""Trainings that one command starts without a question."""

KEY_OF: Mapping[str, tuple[int | str, ...]] = {
    "trials": ("search", "trials"),
    "epochs": ("epochs",),
    "seeds": ("confirm", "seeds"),
    "precision": ("precision",),
    "dataset": ("dataset",),
    "data_dir": ("dataset", "path"),
}
"""The key path in a definition that each option of `run` and `plan` sets."""


def changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what options change in a definition, keyed like `search.trials`.

    Raises:
        BadInput: Images are given for a data set that brings its own.
    """
    given = {".".join(map(str, KEY_OF[name])): options[name] for name in _given(options)}
    path = given.pop("dataset.path", None)
    if "dataset" in given:
        return {**given, "dataset": dataset(given["dataset"], path)}
    return given if path is None else {**given, "dataset.path": str(path)}


def words(options: Mapping[str, Any]) -> Options:
    """Name the option that sets each key path of a definition, of those options that are given."""
    given = {KEY_OF[name]: f"--{name.replace('_', '-')}" for name in _given(options)}
    if options["dataset"] is None:
        return {**given}
    return {**given, ("dataset", "type"): "--dataset", ("dataset", "path"): "--data-dir"}


def _given(options: Mapping[str, Any]) -> list[str]:
    return [name for name in KEY_OF if options[name] is not None]


def dataset(name: str, path: Path | None) -> dict[str, str]:
    """Name a data set, and the place of its files, as a definition does.

    Raises:
        BadInput: A place is given for a data set that brings its own images.
    """
    if path is None:
        return {"type": name}
    if name in DATASETS and "path" not in DATASETS[name].model_fields:
        raise BadInput(f"--data-dir: the data set {name!r} brings its own images; leave it out")
    return {"type": name, "path": str(path)}


def check_size(definition: Experiment, path: Path) -> None:
    """Check that an experiment is of a size that is started without a question.

    Raises:
        BadInput: It is larger.
    """
    number = definition.num_trainings
    if number > MOST_UNASKED:
        raise BadInput(
            f"{path}: {number} trainings are more than the {MOST_UNASKED} that start unasked; "
            "`cifar-exp plan` guesses their time and disk space, and --yes starts them"
        )


def settings(given: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read `loss.gamma=2` and the like into the settings of each component.

    Raises:
        BadInput: One of them is not written so.
    """
    components: dict[str, dict[str, Any]] = {"loss": {}, "optimizer": {}, "dataset": {}}
    for text in given:
        key, equals, value = text.partition("=")
        component, dot, name = key.partition(".")
        if not (equals and dot and component in components):
            raise BadInput(f"-s {text}: write loss.NAME=VALUE, or optimizer. or dataset.")
        components[component][name] = _value(value)
    return components


def _value(text: str) -> Any:
    """Read a value as TOML does; what is no TOML, or more than a value, is text."""
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # a number may have thousands of digits
        return text
    return read["value"] if len(read) == 1 else text
