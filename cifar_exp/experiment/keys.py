"""The keys of a definition as keyword arguments, and a name that none may have."""

from collections.abc import Mapping
from typing import Any, Literal, Required, TypedDict

from cifar_exp.components.validation import Problem, quoted

Table = Mapping[str, Any]
"""A table of a definition, with its values as Python writes them."""
Component = str | Table
"""A component: its name, or a table with its `type` and settings."""

SINGLE = "train"
"""The reserved name of single trainings, which belong to no experiment."""
NAME_IS_TAKEN = Problem(("name",), f"{quoted(SINGLE)} is reserved for single trainings")


class Keys(TypedDict, total=False):
    """The keys of a definition; its tables are dictionaries."""

    name: Required[str]
    dataset: Required[Component]
    model: Required[Component]
    epochs: Required[int]
    losses: Required[Mapping[str, Table]]
    optimizers: Required[Mapping[str, Table]]
    schedules: Mapping[str, Table]
    search: Table
    confirm: Table
    seed: int
    precision: Literal["fp32", "tf32", "bf16", "auto"]
    augment: Component
    compile: bool
    ema: float | None
    keep_models: Literal["all", "best"]
    data_changes: Table | None


def problems_with_name(keys: Mapping[str, Any]) -> list[Problem]:
    """Return the problem of a definition that has the reserved name."""
    return [NAME_IS_TAKEN] if keys.get("name") == SINGLE else []
