"""How a process has died, and how often a training may go through that."""

from __future__ import annotations

from dataclasses import dataclass

MOST_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Death:
    """How a process has died, such as `signal 9`, or what it was ended for."""

    reason: str
    final: bool = False
    """Whether another attempt would end like this one."""
