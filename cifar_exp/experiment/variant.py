"""Parses the tables of losses, optimizers, schedules and data sets in a definition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, PlainSerializer, SerializeAsAny, TypeAdapter

from cifar_exp.components.augmentations import AUGMENTATIONS, Augmentation
from cifar_exp.components.datasets import DATASETS, DatasetChoice
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.optimizers.library import check_name
from cifar_exp.components.schedules import SCHEDULES, Constant
from cifar_exp.components.settings import Settings
from cifar_exp.components.validation import (
    Problem,
    Problems,
    check_known,
    name_and_settings,
    unknown,
    validation_error,
)
from cifar_exp.experiment.space import Range
from cifar_exp.system.formatting import listed

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Value = bool | int | float | str
Setting = Value | tuple[float, ...]
"""A fixed setting of a component."""
LEARNING_RATE = TypeAdapter[float](Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)])

Component = TypeVar("Component")


class Variant(Settings):
    """A component with its name in the ranking and its settings, fixed or searched."""

    name: Name
    type: str
    settings: dict[str, Setting | Range]

    def ranges(self) -> dict[str, Range]:
        """Return the settings that are searched."""
        return {name: value for name, value in self.settings.items() if isinstance(value, Range)}


class OptimizerVariant(Variant):
    """An optimizer with its name in the ranking, its settings and its learning rate."""

    lr: float | Range


CONSTANT = Variant(name=Constant.name, type=Constant.name, settings=dict(Constant()))
"""The schedule of a definition without schedules."""


def is_constant(schedule: Variant) -> bool:
    """Return whether a schedule never changes the learning rate, whatever its name."""
    return schedule.model_copy(update={"name": CONSTANT.name}) == CONSTANT


def schedule_problems(optimizers: Iterable[Variant], schedules: Iterable[Variant]) -> list[Problem]:
    """Return why schedules cannot be compared with these optimizers, or with each other.

    Only one of them may be constant, as its combinations are those without a schedule.
    """
    given = list(schedules)
    constant = [schedule.name for schedule in given if is_constant(schedule)]
    changing = [schedule.name for schedule in given if not is_constant(schedule)]
    no_effect = (
        "only its first step depends on the learning rate, so it cannot be combined with a "
        f"schedule ({listed(changing)})"
    )
    same = f"is the same as {listed(constant[:1])}, a constant learning rate; leave one of them out"
    return [
        *(
            Problem(("optimizers", optimizer.name), no_effect)
            for optimizer in optimizers
            if changing and not OPTIMIZERS[optimizer.type].schedulable
        ),
        *(Problem(("schedules", name), same) for name in constant[1:]),
    ]


class DatasetVariant(Settings):
    """The data set of an experiment."""

    type: str
    choice: SerializeAsAny[DatasetChoice]


def read_dataset(raw: Any) -> DatasetVariant:
    """Parse the name of a data set, or a table with its `type` and settings."""
    name, settings = name_and_settings("dataset", raw)
    dataset = _known("dataset", name, DATASETS)
    if "path" in settings and "path" not in dataset.model_fields:
        message = f"the data set {name!r} brings its own images; leave it out"
        raise validation_error([Problem(path=("path",), message=message)])
    return DatasetVariant(type=name, choice=dataset.model_validate(settings))


def read_augmentation(raw: Any) -> Any:
    """Parse the name of an augmentation, or a table with its `type` and settings."""
    if isinstance(raw, Augmentation):
        return raw
    name, settings = name_and_settings("augment", raw)
    if isinstance(raw, str):
        check_known("augmentation", name, AUGMENTATIONS)
    return _known("augmentation", name, AUGMENTATIONS).model_validate(settings)


Augment = Annotated[Augmentation, BeforeValidator(read_augmentation), PlainSerializer(str)]
"""An augmentation; as text its name, with the settings that are not the default ones."""


def read_each(raw: Any, read: Callable[[str, Any], Variant]) -> Any:
    """Parse a table of tables by name; other values are left for the model to reject."""
    if not isinstance(raw, dict):
        return raw
    variants: dict[str, Variant] = {}
    with Problems() as problems:
        for name, table in raw.items():
            with problems.at(name):
                variants[name] = read(name, table)
    return variants


def read_loss(name: str, table: Any) -> Variant:
    """Parse the table of a loss."""
    return _read_variant("loss", name, _table(table), LOSSES)


def read_optimizer(name: str, table: Any) -> OptimizerVariant:
    """Parse the table of an optimizer, with its learning rate."""
    raw = dict(_table(table))
    lr = raw.pop("lr", None)
    with Problems() as problems:
        with problems.at("lr"):
            lr = _read_lr(lr)
        with problems.at():
            _check_library(raw.get("type", name))
            variant = _read_variant("optimizer", name, raw, OPTIMIZERS)
    return OptimizerVariant(lr=lr, **dict(variant))


def read_schedule(name: str, table: Any) -> Variant:
    """Parse the table of a schedule."""
    return _read_variant("schedule", name, _table(table), SCHEDULES)


def _check_library(name: Any) -> None:
    try:
        check_name(str(name))
    except ValueError as error:
        raise validation_error([Problem(("type",), str(error))]) from None


def _read_lr(raw: Any) -> float | Range:
    if raw is None:
        raise validation_error([Problem(path=(), message="the learning rate is missing")])
    if not isinstance(raw, dict):
        return LEARNING_RATE.validate_python(raw)
    values = Range.model_validate({"log": True, **raw})
    ends: dict[str, float] = {}
    with Problems() as problems:
        for end in ("low", "high"):
            with problems.at(end):
                ends[end] = LEARNING_RATE.validate_python(getattr(values, end))
    return Range(**ends, log=values.log)


def _read_variant(
    kind: str, name: str, table: Mapping[str, Any], components: Mapping[str, type[Settings]]
) -> Variant:
    """Parse a component's table and validate its settings at both ends of every range.

    Missing settings are filled with their defaults, so that the definition is explicit.
    """
    raw = {"type": name, **table}
    type_name = raw.pop("type")
    component = _known(kind, type_name, components)
    ranges = _read_ranges(raw)
    ends: list[Settings] = []
    with Problems() as problems:
        for end in ("low", "high"):
            with problems.at():
                fixed = {key: getattr(values, end) for key, values in ranges.items()}
                ends.append(component.model_validate({**raw, **fixed}))
    typed_ranges = {  # with the component's types: int only if the setting is an int
        key: Range(low=getattr(ends[0], key), high=getattr(ends[1], key), log=values.log)
        for key, values in ranges.items()
    }
    return Variant(name=name, type=type_name, settings={**dict(ends[0]), **typed_ranges})


def _read_ranges(settings: Mapping[str, Any]) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    with Problems() as problems:
        for name, value in settings.items():
            if isinstance(value, dict):
                with problems.at(name):
                    ranges[name] = Range.model_validate(value)
    return ranges


def _table(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise validation_error([Problem(path=(), message="should be a table of settings, { }")])
    return raw


def _known(kind: str, name: Any, table: Mapping[str, Component]) -> Component:
    if not isinstance(name, str):
        message = f"unknown {kind}: its type should be a text in quotes"
        raise validation_error([Problem(path=("type",), message=message)])
    if name not in table:
        message = unknown(kind, name, table)
        problem = Problem(path=("type",), message=message, unknown=(kind, name))
        raise validation_error([problem])
    return table[name]
