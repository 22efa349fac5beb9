"""The JSON Schema of definitions: it is up to date, and rejects what the models reject."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

import cifar_exp
from cifar_exp.components.datasets import DATASETS
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.settings import Settings
from cifar_exp.experiment import read_document
from cifar_exp.experiment.schema import main
from tests.definitions import RANGE, WRONG, Wrong, changed, every_shipped_one

COMMITTED = Path(cifar_exp.__file__).with_name("experiment.schema.json")
SCHEMA: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
VISIBLE = {name: wrong for name, wrong in WRONG.items() if wrong.schema_sees}
COMPONENTS: list[tuple[str, str, type[Settings]]] = [
    *(("losses", name, component) for name, component in LOSSES.items()),
    *(("optimizers", name, component) for name, component in OPTIMIZERS.items()),
]
every_component = pytest.mark.parametrize(("table", "name", "component"), COMPONENTS)


def accepts(document: dict[str, Any]) -> bool:
    return bool(VALIDATOR.is_valid(document))


def least(table: str) -> dict[str, Any]:
    """Return the required keys of a table of `losses` or `optimizers`."""
    return {"lr": 0.1} if table == "optimizers" else {}


def test_committed_file_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == COMMITTED.read_text(encoding="utf-8"), (
        "update it: python -m cifar_exp.experiment.schema > cifar_exp/experiment.schema.json"
    )


def test_it_is_a_valid_schema_of_its_dialect() -> None:
    assert SCHEMA["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(SCHEMA)


def test_every_definition_in_it_is_used() -> None:
    text = COMMITTED.read_text(encoding="utf-8")
    assert [key for key in SCHEMA["$defs"] if f'"#/$defs/{key}"' not in text] == []


@every_shipped_one
def test_accepts_shipped_definitions(path: Path) -> None:
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    assert accepts(document), best_match(VALIDATOR.iter_errors(document))


@every_shipped_one
def test_shipped_definitions_name_the_schema(path: Path) -> None:
    first_line = path.read_text(encoding="utf-8").partition("\n")[0]
    directive, _, place = first_line.partition(" ")
    assert directive == "#:schema"
    assert (path.parent / place).resolve() == COMMITTED.resolve()


@pytest.mark.parametrize("wrong", VISIBLE.values(), ids=VISIBLE.keys())
def test_refuses_what_the_models_refuse(wrong: Wrong) -> None:
    assert not accepts(changed(wrong.changes))


RIGHT: dict[str, dict[str, Any]] = {
    "small": {},
    "name that needs no type": {"losses/brier": {}},
    "name of one type for another": {"losses/brier": {"type": "mse"}},
    "variant": {"losses/smoothed": {"type": "cross_entropy", "label_smoothing": 0.1}},
    "whole number for a fraction": {"losses/focal/gamma": 2},
    "range of a setting": {"losses/focal/gamma": {"low": 0.5, "high": 3, "log": False}},
    "range of whole numbers": {"optimizers/muon": {"lr": 1, "ns_steps": {"low": 2, "high": 6}}},
    "dataset by table": {"dataset": {"type": "cifar10"}},
    "folder": {"dataset": {"type": "folder", "path": "images", "size": 32}},
    "torchvision's network": {"model": "torchvision:resnet18"},
    "search": {"search": {"trials": 1, "sampler": "gp", "pruner": "none", "batch_size": [1]}},
    "precision of some machines": {"precision": "tf32"},
    "all else": {"precision": "bf16", "keep_models": "best", "confirm/seeds": 1, "seed": 7},
}


@pytest.mark.parametrize("changes", RIGHT.values(), ids=RIGHT.keys())
def test_accepts_what_the_models_accept(changes: dict[str, Any]) -> None:
    document = changed(changes)
    read_document(document, "a.toml")
    assert accepts(document), best_match(VALIDATOR.iter_errors(document))


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, name, _ in COMPONENTS])
def test_every_component_with_its_name_and_as_a_variant(table: str, name: str) -> None:
    variant = {"type": name, **least(table)}
    document = changed({f"{table}/{name}": least(table), f"{table}/variant": variant})
    read_document(document, "a.toml")
    assert accepts(document)


@every_component
def test_every_setting_has_default_and_description(
    table: str, name: str, component: type[Settings]
) -> None:
    kind = {"losses": "loss", "optimizers": "optimizer"}[table]
    written = SCHEMA["$defs"][f"{kind}.{name}"]["properties"]
    for key, field in component.model_fields.items():
        assert written[key]["default"] == field.default
        assert written[key]["description"]


@every_component
def test_every_default_is_a_valid_value(table: str, name: str, component: type[Settings]) -> None:
    defaults = {key: field.default for key, field in component.model_fields.items()}
    document = changed({f"{table}/{name}": {**defaults, **least(table)}})
    read_document(document, "a.toml")
    assert accepts(document)


@every_component
def test_every_real_setting_may_be_a_range(
    table: str, name: str, component: type[Settings]
) -> None:
    for key, field in component.model_fields.items():
        if field.annotation is float:
            bounds = {type(limit).__name__ for limit in field.metadata}
            ends = (0.25, 0.75) if bounds & {"Lt", "Le"} else (2.0, 3.0)
            values = {"low": ends[0], "high": ends[1]}
            if field.default < 0:
                values = {"low": -0.75, "high": -0.25}
            document = changed({f"{table}/{name}": {key: values, **least(table)}})
            read_document(document, "a.toml")
            assert accepts(document), key


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name: str) -> None:
    document = changed({"model": name})
    assert read_document(document, "a.toml").model.type == name
    assert accepts(document)


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_as_a_table(name: str) -> None:
    fields = DATASETS[name].model_fields
    needed = {key: "x" for key, field in fields.items() if field.is_required()}
    document = changed({"dataset": {"type": name, **needed}})
    dataset = read_document(document, "a.toml").dataset
    assert (dataset.type, type(dataset.choice)) == (name, DATASETS[name])
    assert accepts(document)
    assert accepts(changed({"dataset": name})) == (not needed)


def test_fields_are_described() -> None:
    undescribed = [
        key
        for key, field in SCHEMA["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert undescribed == []


def test_a_range_is_not_accepted_for_settings_that_are_not_searched() -> None:
    assert not accepts(changed({"epochs": RANGE}))
