"""The bounds of settings: each inclusive bound must be a valid and usable value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from pydantic.fields import FieldInfo

from cifar_exp.components.settings import Settings

SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
INCLUSIVE = ("ge", "le")

Component = TypeVar("Component", bound=Settings)


def at_bounds(component: Component, use: Callable[[Component], object]) -> str:
    """Use a component at every inclusive bound of its settings; return the bounds in words.

    Raises:
        AssertionError: It cannot be used at one of them.
    """
    for name, bound in _inclusive(component):
        try:
            use(type(component).model_validate({**dict(component), name: bound}))
        except (AssertionError, RuntimeError, ZeroDivisionError) as error:
            raise AssertionError(
                f"{name} = {bound} is allowed, but {error}; give {name} a narrower bound"
            ) from error
        except ValueError:  # with the other settings it is not valid
            continue
    words = [_words(name, field) for name, field in type(component).model_fields.items()]
    return ", ".join(words) or "none"


def _inclusive(component: Settings) -> Iterator[tuple[str, Any]]:
    for name, field in type(component).model_fields.items():
        for key, bound in _bounds(field).items():
            if key in INCLUSIVE:
                yield name, bound


def _bounds(field: FieldInfo) -> dict[str, Any]:
    found = {}
    for mark in field.metadata:
        for key in SIGNS:
            bound = getattr(mark, key, None)
            if bound is not None:
                found[key] = bound
    return found


def _words(name: str, field: FieldInfo) -> str:
    bounds = _bounds(field)
    if not bounds:
        return name if field.annotation not in (int, float) else f"{name} without bounds"
    return " ".join([name, *(f"{SIGNS[key]} {bound:g}" for key, bound in bounds.items())])
