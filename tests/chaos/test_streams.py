"""A sweep without a place for its output goes on to its end."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.chaos.conftest import NewBench

pytestmark = pytest.mark.chaos


def broken_pipe() -> int:
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def closed_terminal() -> int:
    ours, theirs = os.openpty()
    os.close(ours)
    return theirs


def full_disk() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize(
    "output",
    [broken_pipe, closed_terminal, pytest.param(full_disk, marks=pytest.mark.chaos_short)],
)
def test_a_sweep_goes_on_without_its_output(new_bench: NewBench, output: Callable[[], int]) -> None:
    bench = new_bench()
    process = bench.start("--workers", "1", output=output())
    assert process.wait(240) == 0
    bench.check()
