"""One section of the measurement: rows of the table that are measured together."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from benchmarks.figure import Figure
from cifar_exp.system.formatting import first_line

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """A row without a value, and the reason."""

    name: str
    reason: str


Row = Figure | Missing
Measure = Callable[[float], Sequence[Row]]
"""Measures the rows of a section, given the remaining seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Rows that are measured together."""

    names: Sequence[str]
    """The names of the rows if they cannot be measured."""
    measure: Measure

    def rows(self, seconds_left: float) -> list[Row]:
        """Measure the rows; if no time is left or there is an error, each row gives the reason."""
        if seconds_left <= 0:
            return self._missing("not measured: out of time")
        try:
            return list(self.measure(seconds_left))
        except Exception as error:
            return self._missing(f"{type(error).__name__}: {first_line(error)}")
        finally:
            release()

    def _missing(self, reason: str) -> list[Row]:
        return [Missing(name=name, reason=reason) for name in self.names]


def release() -> None:
    """Release unused GPU memory, for other processes."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Call a function; return the seconds until the GPU has finished, and the result."""
    _wait_for_gpu()
    started = time.perf_counter()
    result = function()
    _wait_for_gpu()
    return time.perf_counter() - started, result


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
