"""The definition of a single training: one combination without a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cifar_exp.components.validation import DefinitionError, Options, Path, Problem
from cifar_exp.experiment.definition import Experiment
from cifar_exp.experiment.file import read_document
from cifar_exp.experiment.keys import SINGLE
from cifar_exp.experiment.variant import CONSTANT

Words = Callable[[Iterable[str], str, str, str], Options]
"""Returns what sets each key path, given other keys and the names of the components."""


def as_options(keys: Iterable[str], loss: str, optimizer: str, schedule: str) -> Options:
    """Return the option of `cifar-exp train` that sets each key path."""
    return {
        **{(key,): f"--{key}" for key in keys},
        ("dataset",): "-s dataset",
        ("data_changes",): "-s data_changes",
        ("augment",): "-s augment",
        ("augment", "type"): "--augment",
        ("dataset", "type"): "--dataset",
        ("dataset", "path"): "--data-dir",
        ("model",): "-s model",
        ("model", "type"): "--model",
        ("search", "batch_size", 0): "--batch-size",
        ("losses", loss): "-s loss",
        ("losses", loss, "type"): "--loss",
        ("losses", loss, "name"): "--loss",
        ("optimizers", optimizer): "-s optimizer",
        ("optimizers", optimizer, "type"): "--optimizer",
        ("optimizers", optimizer, "name"): "--optimizer",
        ("optimizers", optimizer, "lr"): "--lr",
        ("schedules", schedule): "-s schedule",
        ("schedules", schedule, "type"): "--schedule",
        ("schedules", schedule, "name"): "--schedule",
    }


def as_arguments(_keys: Iterable[str], loss: str, optimizer: str, schedule: str) -> Options:
    """Return the argument in Python that sets each key path; other keys are arguments already."""
    return {
        ("search", "batch_size", 0): "batch_size",
        ("losses", loss): "loss",
        ("optimizers", optimizer): "optimizer",
        ("optimizers", optimizer, "lr"): "lr",
        ("schedules", schedule): "schedule",
    }


def single_definition(
    options: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    words: Words = as_options,
) -> Experiment:
    """Return the definition of a single training: one combination without a search.

    Args:
        options: Values of keys of a definition, and of `loss`, `optimizer`, `schedule` (None for a
            constant learning rate), `lr`, `batch_size`.
        settings: The settings of the `loss`, the `optimizer` and the `schedule`.
        words: Returns the words for messages.

    Raises:
        DefinitionError: An option or setting is invalid.
    """
    values = dict(options)
    loss, optimizer, lr = values.pop("loss"), values.pop("optimizer"), values.pop("lr")
    name = optimizer.replace(":", ".")  # a component of a library, such as `timm:lion`
    schedule = _schedule(values.pop("schedule", None), settings.get("schedule", {}))
    batch_size = values.pop("batch_size")
    said = words(values, loss, name, next(iter(schedule), ""))
    if "lr" in settings.get("optimizer", {}):
        settings_of, given_by = said["optimizers", name], said["optimizers", name, "lr"]
        raise DefinitionError(f"{settings_of}.lr: the learning rate is given by {given_by}")
    document = {
        "name": SINGLE,
        "search": {"trials": 1, "batch_size": [batch_size]},
        "losses": {loss: settings.get("loss", {})},
        "optimizers": {name: {"type": optimizer, "lr": lr, **settings.get("optimizer", {})}},
        **({"schedules": schedule} if schedule else {}),
        **values,
    }
    experiment = read_document(document, "", said)
    _check_no_range(experiment, said)
    return experiment


def _schedule(name: str | None, settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the table of the schedules of a single training; settings alone are of a constant."""
    return {name or CONSTANT.name: settings} if name or settings else {}


def _check_no_range(experiment: Experiment, words: Options) -> None:
    [combination] = experiment.combinations()
    places: Mapping[str, Path] = {
        "loss": ("losses", combination.loss.name),
        "optimizer": ("optimizers", combination.optimizer.name),
        "schedule": ("schedules", combination.schedule.name),
    }
    for searched in sorted(set(experiment.space(combination)) - {"batch_size"}):
        component, _, setting = searched.rpartition(".")  # the learning rate has no component
        path = (*places[component or "optimizer"], setting)
        problem = Problem(path, "one training takes one value, not a range")
        raise DefinitionError(problem.told("", words))
