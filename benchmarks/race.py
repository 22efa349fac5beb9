"""Run several programs in turn, in separate processes, so that noise affects all of them alike.

A shared machine may be slow for minutes, and the state of one program's process (threads,
allocator, chosen kernels) must not affect the others. The speed of a process varies by about a
tenth from start to start, so every program is started several times.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

from benchmarks.figure import Figure
from cifar_exp.system.formatting import first_line

Start = Callable[[], Iterator[float]]
"""Starts a program in its process; each `next` runs one turn and returns its images per second."""

Speeds = Mapping[str, list[float]]
"""Images per second of each program, by round."""


class ContestantError(RuntimeError):
    """A program has failed; the message is that of its error."""


def ratio(
    name: str,
    speeds: Speeds,
    one: str,
    other: str,
    *,
    at_least: float,
    aim: float | None = None,
    note: str = "",
) -> Figure:
    """Divide two medians over the rounds; the detail has both, and the range of the ratios."""
    ratios = [a / b for a, b in zip(speeds[one], speeds[other], strict=True)]
    upper, lower = median(speeds[one]), median(speeds[other])
    return Figure(
        name=name,
        value=upper / lower,
        unit="x",
        at_least=at_least,
        aim=aim,
        detail=f"{upper:,.0f} / {lower:,.0f} images/s{note}; "
        f"rounds {min(ratios):.2f} to {max(ratios):.2f}",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Contestant:
    """A program; with several parallel processes, its speed is the sum of their speeds."""

    start: Start
    num_processes: int = 1


def race(contestants: Mapping[str, Contestant], rounds: int, starts: int = 3) -> Speeds:
    """Start the programs `starts` times, and each time run them in turn for some rounds."""
    turns = [turn for _ in range(starts) for turn in _rounds(contestants, rounds)]
    return {name: [turn[name] for turn in turns] for name in contestants}


def _rounds(contestants: Mapping[str, Contestant], rounds: int) -> list[dict[str, float]]:
    """Start the programs once; return the speeds of each round after a warm-up round."""
    with ExitStack() as stack:
        teams = {name: stack.enter_context(_team(c)) for name, c in contestants.items()}
        turns = [{name: _turn(team) for name, team in teams.items()} for _ in range(1 + rounds)]
    return turns[1:]


@contextmanager
def _team(contestant: Contestant) -> Iterator[list[Connection]]:
    """Start the processes of a program, which wait for their turns; end them afterwards."""
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(contestant.num_processes)]
    members = [context.Process(target=_run, args=(contestant.start, theirs)) for _, theirs in ends]
    for member in members:
        member.start()
    for _, theirs in ends:
        theirs.close()  # so that reading from a dead process fails instead of waiting
    try:
        yield [ours for ours, _ in ends]
    finally:
        for ours, _ in ends:
            ours.close()  # there are no more turns
        for member in members:
            member.join()


def _turn(team: list[Connection]) -> float:
    """Run all processes of a program in parallel; return the sum of their speeds.

    Raises:
        ContestantError: A process has failed.
    """
    for member in team:
        member.send(None)
    speeds = [member.recv() for member in team]
    for speed in speeds:
        if isinstance(speed, str):
            raise ContestantError(speed)
    return math.fsum(speeds)


def _run(start: Start, turns: Connection) -> None:
    """Run one turn for each message, in a separate process."""
    program = start()
    with suppress(EOFError):
        while True:
            turns.recv()
            turns.send(_speed_or_error(program))


def _speed_or_error(program: Iterator[float]) -> float | str:
    """Run one turn; return its speed, or the error message."""
    try:
        return next(program)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
