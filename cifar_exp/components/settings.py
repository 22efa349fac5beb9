"""The base of everything a definition may set: frozen, strictly typed, closed to unknown names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from cifar_exp.components.validation import (
    Problem,
    nearest,
    problems_of,
    suggestion,
    validation_error,
)


@dataclass(frozen=True, slots=True)
class Later:
    """Marks a field that came after identities had been given: it counts unless it is the default.

    So a definition that does not know the field keeps its results.
    """


class Settings(BaseModel):
    """A frozen set of named values; wrong types, NaN, infinities and unknown names are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def uncounted(cls, values: Mapping[str, Any]) -> set[str]:
        """Name the values that take no part in an identity, see `Later`."""
        return {
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(mark, Later) for mark in field.metadata)
            and values.get(name) == field.default
        }

    @model_validator(mode="wrap")
    @classmethod
    def _suggest_names(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Name the nearest known name beside an unknown one, and do not miss that one as well."""
        try:
            return handler(given)
        except ValidationError as error:
            problems = problems_of(error)
            unknown = [str(p.path[-1]) for p in problems if p.type == "extra_forbidden"]
            meant = {nearest(name, cls.model_fields) for name in unknown}
            told = [p for p in problems if not (p.type == "missing" and p.path[-1] in meant)]
            raise validation_error(map(cls._with_suggestion, told)) from None

    @classmethod
    def _with_suggestion(cls, problem: Problem) -> Problem:
        if problem.type != "extra_forbidden":
            return problem
        message = f"unknown name{suggestion(str(problem.path[-1]), cls.model_fields)}"
        return Problem(path=problem.path, type="unknown_name", message=message)
