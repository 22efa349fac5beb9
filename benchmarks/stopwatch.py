"""A stopwatch around functions that a measured run calls."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

Place = tuple[Any, str]
"""A class or module, and the name of one of its functions."""


@dataclass(slots=True)
class Lap:
    """Time spent in one part since the last lap."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(slots=True)
class Stopwatch:
    """Sums the time of each part; `laps` has the times of each lap, by part."""

    running: dict[str, Lap] = field(default_factory=dict)
    laps: list[dict[str, Lap]] = field(default_factory=list)

    def lap(self) -> None:
        """End a lap."""
        self.laps.append(self.running)
        self.running = {}

    @contextmanager
    def around(self, parts: Mapping[str, Sequence[Place]]) -> Iterator[None]:
        """Time every call of the functions of each part; they must not call each other."""
        with ExitStack() as stack:
            for part, places in parts.items():
                for owner, name in places:
                    timed = self._timed(part, getattr(owner, name))
                    stack.enter_context(patch.object(owner, name, timed))
            yield

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                lap = self.running.setdefault(part, Lap())
                lap.seconds += time.perf_counter() - wall
                lap.cpu_seconds += time.process_time() - cpu

        return timed
