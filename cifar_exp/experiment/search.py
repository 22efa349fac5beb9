"""How combinations are tuned and confirmed: the tables `[search]` and `[confirm]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from cifar_exp.components.pruners import PRUNERS
from cifar_exp.components.samplers import SAMPLERS
from cifar_exp.components.settings import Later, Settings
from cifar_exp.components.validation import check_known

Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""A number of trainings, epochs or images; a larger number is assumed to be a typing error."""
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Search(Settings):
    """How each combination is tuned; the same for all combinations."""

    trials: Count = 20
    """Number of trials of each study, in total."""
    studies: Annotated[Count, Later()] = 1
    """Number of independent studies of each combination, each with its own seeds. With several, the
    mean of each study's confirmations is one replicate, so the errors include the tuning."""
    sampler: str = Field(default="tpe", json_schema_extra={"enum": list(SAMPLERS)})
    """How settings are chosen: random, quasi-random, or based on earlier trials."""
    pruner: str = Field(default="median", json_schema_extra={"enum": list(PRUNERS)})
    """When a trial is stopped early, compared with the other trials of its combination."""
    batch_size: tuple[Count, ...] = Field(
        default=(32, 64, 128, 256),
        strict=False,
        json_schema_extra={"minItems": 1, "uniqueItems": True},
    )
    """Batch sizes to choose from."""
    at_once: Annotated[Count, Later()] = 1
    """Number of trials of a combination that form a block; sampler and pruner use the results of
    earlier blocks only."""

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, name: str) -> str:
        return check_known("sampler", name, SAMPLERS)

    @field_validator("pruner")
    @classmethod
    def _known_pruner(cls, name: str) -> str:
        return check_known("pruner", name, PRUNERS)

    @field_validator("batch_size")
    @classmethod
    def _all_different(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if not given:
            raise PydanticCustomError("batch_size", "should have at least one batch size")
        if len(set(given)) < len(given):
            raise PydanticCustomError("batch_size", "a batch size is listed twice")
        return given


class Confirm(Settings):
    """How the best setting of each combination is confirmed."""

    seeds: Count = 5
    """Number of trainings on new seeds, each scored once on the test set; 1 by default if there are
    several studies."""
    until: Annotated[Literal["fixed", "decided"], Later()] = "fixed"
    """Whether combinations that may still be the best get more replicates, up to `most`: more
    studies if there are several, else more seeds."""
    most: Annotated[Count, Later()] = 20
    """Largest number of replicates, if `until` is "decided"."""
    indifferent: Annotated[float, Field(ge=0, le=100), Later()] = 0.0
    """Difference in percentage points of test accuracy that does not matter: no more replicates if
    all that may be the best lie within it."""
