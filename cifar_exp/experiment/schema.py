"""The JSON Schema of definition files, for completion and validation in editors.

It is generated from the models of a definition and stored in the package by
`python -m cifar_exp.experiment.schema > cifar_exp/experiment.schema.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from cifar_exp.components.augmentations import AUGMENTATIONS, Augmentation
from cifar_exp.components.datasets import DATASETS, DatasetChoice
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import MODELS, Model
from cifar_exp.components.models.suggestion import LIBRARIES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.components.settings import Settings
from cifar_exp.experiment import (
    LEARNING_RATE,
    DatasetVariant,
    Experiment,
    OptimizerVariant,
    Variant,
)

Schema = dict[str, Any]

COMPONENTS: Mapping[str, Mapping[str, type[Settings]]] = {
    "dataset": DATASETS,
    "model": MODELS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "augmentation": AUGMENTATIONS,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
INTERNAL_MODELS = (Augmentation, DatasetChoice, DatasetVariant, Model, OptimizerVariant, Variant)
"""Models that are not part of the file format: the file has another form at these places."""


class _WithoutTitles(GenerateJsonSchema):
    """Omits the titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def experiment_schema() -> Schema:
    """Return the schema of a definition file."""
    schema = Experiment.model_json_schema(schema_generator=_WithoutTitles)
    definitions, properties = schema["$defs"], schema["properties"]
    for model in INTERNAL_MODELS:
        del definitions[model.__name__]
    for kind, components in COMPONENTS.items():
        tables = {f"{kind}.{name}": _table(kind, name, components[name]) for name in components}
        definitions |= tables
        definitions[kind] = {"required": ["type"], "anyOf": [_reference(key) for key in tables]}
    definitions["model"]["anyOf"] += [_library(prefix) for prefix in LIBRARIES]
    properties["model"] = _described(properties["model"], _model())
    properties["dataset"] = _described(properties["dataset"], _name_or_table("dataset"))
    augment = {**_name_or_table("augmentation"), "default": "none"}
    properties["augment"] = _described(properties["augment"], augment)
    for table, kind in (("losses", "loss"), ("optimizers", "optimizer"), ("schedules", "schedule")):
        properties[table] = _described(properties[table], _by_name(kind))
    return {"$schema": DIALECT, **schema}


def _table(kind: str, name: str, component: type[Settings]) -> Schema:
    """Return the schema of a component's table; numbers may be ranges, but for data sets."""
    schema = component.model_json_schema(schema_generator=_WithoutTitles)
    fields = {"type": {"const": name}, **schema["properties"]}
    if kind == "optimizer":
        fields["lr"] = {**LEARNING_RATE.json_schema(), "description": "learning rate"}
        schema["required"] = ["lr"]
    if kind in ("loss", "optimizer"):
        fields = {key: _or_range(field) for key, field in fields.items()}
    return {**schema, "properties": fields}


def _or_range(field: Schema) -> Schema:
    """Return the schema of a number or a range of such numbers."""
    if field.get("type") not in ("integer", "number"):
        return field
    annotations = {key: value for key, value in field.items() if key in ("default", "description")}
    number = {key: value for key, value in field.items() if key not in annotations}
    ends = {"low": number, "high": number}
    return {**annotations, "anyOf": [number, {**_reference("Range"), "properties": ends}]}


def _name_or_table(kind: str) -> Schema:
    """Return the schema of a name, if no field is required, or a table with a type."""
    fields = {name: choice.model_fields.values() for name, choice in COMPONENTS[kind].items()}
    names = [name for name in fields if not any(f.is_required() for f in fields[name])]
    return {"anyOf": [{"enum": names}, _reference(kind)]}


def _model() -> Schema:
    """Return the schema of the name of a network, or of a table with a type."""
    prefixed = [{"type": "string", "pattern": f"^{prefix}."} for prefix in LIBRARIES]
    return {"anyOf": [{"enum": [*MODELS]}, *prefixed, _reference("model")]}


def _library(prefix: str) -> Schema:
    """Return the schema of the table of a library's network."""
    schema = LIBRARIES[prefix].model_json_schema(schema_generator=_WithoutTitles)
    fields = {**schema["properties"], "type": {"type": "string", "pattern": f"^{prefix}."}}
    del fields["architecture"]
    return {**schema, "properties": fields, "required": ["type"]}


def _by_name(kind: str) -> Schema:
    """Return the schema of tables by name; `type` is optional if the name is that of a type."""
    variant = _reference(kind)
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": Experiment.model_json_schema()["properties"]["name"],
        "properties": {
            name: {"anyOf": [_reference(f"{kind}.{name}"), variant]} for name in COMPONENTS[kind]
        },
        "additionalProperties": variant,
    }


def _described(field: Schema, schema: Schema) -> Schema:
    return {"description": field["description"], **schema}


def _reference(key: str) -> Schema:
    return {"$ref": f"#/$defs/{key}"}


def main() -> None:
    """Print the schema."""
    print(json.dumps(experiment_schema(), indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
