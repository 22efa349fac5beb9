"""What every set of settings promises: it is frozen, strict and closed."""

from __future__ import annotations

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
