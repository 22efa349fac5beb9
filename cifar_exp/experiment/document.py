"""An experiment as the document of a definition file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import tomli_w

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.components.settings import Settings

if TYPE_CHECKING:
    from cifar_exp.experiment.definition import Experiment
    from cifar_exp.experiment.variant import Variant


def text_of(experiment: Experiment) -> str:
    """Return the text of a definition file that is read as an equal experiment."""
    return tomli_w.dumps(document(experiment))


def document(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as a file writes it; settings with their default value are left out."""
    dumped = experiment.model_dump(
        mode="json",
        exclude_none=True,
        exclude={"dataset", "augment", "losses", "optimizers", "schedules"},
    )
    tables = {
        "losses": _variants(LOSSES, experiment.losses),
        "optimizers": _variants(OPTIMIZERS, experiment.optimizers),
        "schedules": _variants(SCHEDULES, experiment.schedules),
    }
    augment = experiment.augment
    return {
        "name": dumped.pop("name"),
        "dataset": _component(experiment.dataset.type, experiment.dataset.choice),
        **dumped,
        "augment": _component(augment.name, augment),
        **{name: table for name, table in tables.items() if table},
    }


def _component(name: str, settings: Settings) -> str | dict[str, Any]:
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    return {"type": name, **changed} if changed else name


def _variants(
    table: Mapping[str, type[Settings]], variants: Mapping[str, Variant]
) -> dict[str, dict[str, Any]]:
    return {name: _variant(table[variant.type], variant) for name, variant in variants.items()}


def _variant(component: type[Settings], variant: Variant) -> dict[str, Any]:
    dumped = variant.model_dump(mode="json", exclude={"name"})
    settings = dumped.pop("settings")
    fields = component.model_fields
    changed = {
        name: settings[name]
        for name, value in variant.settings.items()
        if value != fields[name].default
    }
    if dumped["type"] == variant.name:
        del dumped["type"]
    return {**dumped, **changed}
