"""What every set of settings promises: it is frozen, strict and closed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cifar_exp.components.settings import Settings
from cifar_exp.components.validation import problems_of


class Engine(Settings):
    power: float = 1.0
    """Its power in watts."""
    cylinders: int = 4


class Car(Settings):
    colour: str
    engine: Engine = Engine()


def complaints(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Car.model_validate(document)
    return [str(problem) for problem in problems_of(caught.value)]


def test_values_stay_as_given() -> None:
    car = Car.model_validate({"colour": "red", "engine": {"power": 2.5, "cylinders": 6}})
    assert (car.colour, car.engine.power, car.engine.cylinders) == ("red", 2.5, 6)


def test_nothing_can_be_set_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Engine().power = 2.0


def test_whole_numbers_do_for_fractions() -> None:
    power = Engine.model_validate({"power": 2}).power
    assert (power, type(power)) == (2.0, float)


@pytest.mark.parametrize("value", [True, "1", "1e-3", None, [1.0], {"low": 1.0}])
def test_other_types_do_not_do_for_numbers(value: Any) -> None:
    assert len(complaints({"colour": "red", "engine": {"power": value}})) == 1


@pytest.mark.parametrize("value", [True, 4.0, "4", 4.5])
def test_other_types_do_not_do_for_whole_numbers(value: Any) -> None:
    assert len(complaints({"colour": "red", "engine": {"cylinders": value}})) == 1


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_only_finite_numbers(value: float) -> None:
    [complaint] = complaints({"colour": "red", "engine": {"power": value}})
    assert complaint == "engine.power: should be a finite number"


def test_the_nearest_known_name_is_named_at_any_depth() -> None:
    assert complaints({"colour": "red", "color": "red", "engine": {"powr": 1.0}}) == [
        'engine.powr: unknown name; did you mean "power"?',
        'color: unknown name; did you mean "colour"?',
    ]


def test_all_known_names_are_named_where_none_is_near() -> None:
    assert complaints({"colour": "red", "xyz": 1}) == [
        "xyz: unknown name; known are: colour, engine"
    ]


def test_all_problems_come_at_once() -> None:
    found = complaints({"engine": {"power": "1", "cylinders": 1.5, "x": 1}, "wheels": 4})
    assert [complaint.partition(":")[0] for complaint in found] == [
        "colour",
        "engine.power",
        "engine.cylinders",
        "engine.x",
        "wheels",
    ]


def test_docstrings_of_attributes_describe_them() -> None:
    assert Engine.model_fields["power"].description == "Its power in watts."


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.floats() | st.text()))
def test_any_table_is_read_or_refused(table: dict[str, Any]) -> None:
    try:
        Car.model_validate(table)
    except ValidationError as error:
        problems = problems_of(error)
    else:
        problems = []
    assert problems or "colour" in table  # only a colour is needed
