"""The time that one training may take, held by a clock that nothing in the training can stop."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

LEAST = 0.001  # seconds; the clock of faulthandler takes no zero


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a training may take in this process, and where its end is recorded."""

    seconds: float
    dump: TextIO
    """Where the process writes what it was doing when the time was up."""


_limit: Limit | None = None


def hold(limit: Limit) -> None:
    """Hold every training of this process to a limit; one that takes longer ends the process."""
    global _limit  # noqa: PLW0603 - faulthandler has one clock a process
    _limit = limit


class Clock:
    """The time of one training; it runs while the training takes a step and not in between."""

    def __init__(self) -> None:
        self._spent = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clock run; where the time is up, the process ends at once.

        It is a thread of faulthandler, in C: it strikes even while a kernel holds Python's lock.
        """
        if _limit is None:
            yield
            return
        started = time.monotonic()
        left = max(LEAST, _limit.seconds - self._spent)
        faulthandler.dump_traceback_later(left, exit=True, file=_limit.dump)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._spent += time.monotonic() - started
