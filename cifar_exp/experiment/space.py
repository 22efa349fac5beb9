"""The search space of a study: ranges and choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import ValidationError, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from cifar_exp.components.settings import Settings


def _one_number(raw: Any, handler: Callable[[Any], Any]) -> Any:
    """Validate a number with a single error, instead of one per type of the union."""
    try:
        return handler(raw)
    except ValidationError:
        raise PydanticCustomError("number", "should be a number") from None


Number = Annotated[int | float, WrapValidator(_one_number)]


class Range(Settings):
    """A range that is searched, in place of a fixed number."""

    low: Number
    """Lower bound, inclusive."""
    high: Number
    """Upper bound, inclusive."""
    log: bool = False
    """Whether to sample on a log scale; default: true if `high` is at least 10 x `low` > 0."""

    @model_validator(mode="before")
    @classmethod
    def _log_over_a_decade(cls, raw: Any) -> Any:
        match raw:
            case {"low": int() | float() as low, "high": int() | float() as high}:
                return {"log": 0 < 10 * low <= high, **raw}
        return raw

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise PydanticCustomError("range", "low must be less than high")
        if self.log and self.low <= 0:
            raise PydanticCustomError("range", "low must be above 0 on a log scale")
        return self


class Choices(Settings):
    """A set of values, one of which is sampled for each trial."""

    values: tuple[int, ...]


Space = Mapping[str, Range | Choices]
"""A search space: names such as `lr`, `batch_size` or `loss.gamma`, and their values."""


def parse(space: Space, texts: Mapping[str, str]) -> dict[str, int | float]:
    """Parse sampled values from the params of a run."""
    return {
        name: int(texts[name]) if _is_whole(values) else float(texts[name])
        for name, values in space.items()
    }


def num_settings(space: Space) -> float:
    """Return how many settings a space has; infinity if it has a range of real numbers."""
    return math.prod(map(_num_values, space.values()))


def _num_values(values: Range | Choices) -> float:
    match values:
        case Choices(values=choices):
            return len(choices)
        case Range(low=int() as low, high=int() as high):
            return high - low + 1
    return math.inf


def _is_whole(values: Range | Choices) -> bool:
    return isinstance(values, Choices) or isinstance(values.low, int)
