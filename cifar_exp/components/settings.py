"""The base model of settings in a definition: frozen, strictly typed, without unknown names."""

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
    """Marks a field that was added after results had been stored.

    Its default value is excluded from identities, so that older definitions keep their results.
    """


class Settings(BaseModel):
    """A frozen model; wrong types, NaN, infinities and unknown names are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @classmethod
    def uncounted(cls, values: Mapping[str, Any]) -> set[str]:
        """Return the names of values that are excluded from an identity, see `Later`."""
        return {
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(mark, Later) for mark in field.metadata)
            and values.get(name) == field.default
        }

    @classmethod
    def results_version(cls, values: Mapping[str, Any]) -> int:  # noqa: ARG003
        """Return the version of the results with these settings, which is part of an identity.

        It is increased when they change, so that trainings of another version are not reused.
        """
        return 1

    @model_validator(mode="wrap")
    @classmethod
    def _suggest_names(cls, raw: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Suggest the nearest known name for an unknown one, and do not report it as missing."""
        try:
            return handler(raw)
        except ValidationError as error:
            problems = problems_of(error)
            unknown = [str(p.path[-1]) for p in problems if p.type == "extra_forbidden"]
            suggested = {nearest(name, cls.model_fields) for name in unknown}
            reported = [
                p for p in problems if not (p.type == "missing" and p.path[-1] in suggested)
            ]
            raise validation_error(map(cls._with_suggestion, reported)) from None

    @classmethod
    def _with_suggestion(cls, problem: Problem) -> Problem:
        if problem.type != "extra_forbidden":
            return problem
        message = f"unknown name{suggestion(str(problem.path[-1]), cls.model_fields)}"
        return Problem(path=problem.path, type="unknown_name", message=message)
