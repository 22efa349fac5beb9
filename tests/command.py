"""The output and the exit code of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Shown(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line on standard error."""
        return self.err.strip().splitlines()[-1]


Cli = Callable[..., Shown]
