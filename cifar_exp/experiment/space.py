"""What a study searches: intervals and choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import ValidationError, WrapValidator, model_validator
from pydantic_core import PydanticCustomError

from cifar_exp.components.settings import Settings


def _one_number(given: Any, handler: Callable[[Any], Any]) -> Any:
    """Say once what a union of number types would say once a type."""
    try:
        return handler(given)
    except ValidationError:
        raise PydanticCustomError("number", "should be a number") from None


Number = Annotated[int | float, WrapValidator(_one_number)]


class Range(Settings):
    """An interval that is searched, where a definition could also give one number."""

    low: Number
    """Smallest value tried."""
    high: Number
    """Largest value tried."""
    log: bool = False
    """Whether it is sampled on a log scale; by default where `high` is at least 10 x `low` > 0."""

    @model_validator(mode="before")
    @classmethod
    def _log_over_a_decade(cls, given: Any) -> Any:
        match given:
            case {"low": int() | float() as low, "high": int() | float() as high}:
                return {"log": 0 < 10 * low <= high, **given}
        return given

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise PydanticCustomError("range", "low must be less than high")
        if self.log and self.low <= 0:
            raise PydanticCustomError("range", "low must be above 0 on a log scale")
        return self


class Choices(Settings):
    """A few values, of which each trial takes one."""

    values: tuple[int, ...]


Space = Mapping[str, Range | Choices]
"""What a study searches: a name such as `lr`, `batch_size` or `loss.gamma`, and its values."""


def parse(space: Space, texts: Mapping[str, str]) -> dict[str, int | float]:
    """Read sampled values from the texts that a run's record holds."""
    return {
        name: int(texts[name]) if _is_whole(values) else float(texts[name])
        for name, values in space.items()
    }


def _is_whole(values: Range | Choices) -> bool:
    return isinstance(values, Choices) or isinstance(values.low, int)
