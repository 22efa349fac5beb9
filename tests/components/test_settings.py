"""Settings as values; the tests of wrong values are in `tests/definitions.py`."""

from __future__ import annotations

from cifar_exp.components.settings import Settings


class Engine(Settings):
    power: float = 1.0
    """Its power in watts."""


def test_whole_numbers_are_accepted_for_fractions() -> None:
    power = Engine.model_validate({"power": 2}).power
    assert (power, type(power)) == (2.0, float)


def test_docstrings_of_attributes_describe_them() -> None:
    assert Engine.model_fields["power"].description == "Its power in watts."
