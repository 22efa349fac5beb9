"""The settings of a component: the numbers a definition may give to a loss or an optimizer."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen set of named, checked values; unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
