"""Several programs that take turns, each in processes of its own, so that all meet the same noise.

A shared machine is slow for minutes at a time, and what one program does to its process (threads,
allocator, chosen kernels) must not reach the others. A process keeps the speed that it happens to
start with, a tenth more or less, so every program is started several times.
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
"""Starts a program in its process; each `next` is a turn, and gives its images per second."""

Speeds = Mapping[str, list[float]]
"""Images per second of each contestant, round by round."""


class ContestantError(RuntimeError):
    """A contestant has failed; the message is that of its error."""


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
    """Divide two medians over the rounds; the detail has both, and the range within rounds."""
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
    """A program; in more than one process at once, its speed is that of all of them together."""

    start: Start
    num_processes: int = 1


def race(contestants: Mapping[str, Contestant], rounds: int, starts: int = 3) -> Speeds:
    """Start the contestants some times and let them take turns for some rounds each time."""
    turns = [turn for _ in range(starts) for turn in _rounds(contestants, rounds)]
    return {name: [turn[name] for turn in turns] for name in contestants}


def _rounds(contestants: Mapping[str, Contestant], rounds: int) -> list[dict[str, float]]:
    """Start the contestants once; return the speeds of each round after one to warm up."""
    with ExitStack() as stack:
        teams = {name: stack.enter_context(_team(c)) for name, c in contestants.items()}
        turns = [{name: _turn(team) for name, team in teams.items()} for _ in range(1 + rounds)]
    return turns[1:]


@contextmanager
def _team(contestant: Contestant) -> Iterator[list[Connection]]:
    """Start a contestant's processes, which wait; end them afterwards."""
    context = multiprocessing.get_context("spawn")
    ends = [context.Pipe() for _ in range(contestant.num_processes)]
    members = [context.Process(target=_run, args=(contestant.start, theirs)) for _, theirs in ends]
    for member in members:
        member.start()
    for _, theirs in ends:
        theirs.close()  # so that reading from a member that died fails instead of waiting
    try:
        yield [ours for ours, _ in ends]
    finally:
        for ours, _ in ends:
            ours.close()  # there are no more turns
        for member in members:
            member.join()


def _turn(team: list[Connection]) -> float:
    """Let all members of a team run at once; return the sum of their speeds.

    Raises:
        ContestantError: A member has failed.
    """
    for member in team:
        member.send(None)
    speeds = [member.recv() for member in team]
    for speed in speeds:
        if isinstance(speed, str):
            raise ContestantError(speed)
    return math.fsum(speeds)


def _run(start: Start, turns: Connection) -> None:
    """Take a turn whenever one is given, in a process of its own."""
    program = start()
    with suppress(EOFError):
        while True:
            turns.recv()
            turns.send(_speed_or_error(program))


def _speed_or_error(program: Iterator[float]) -> float | str:
    """Take a turn; return its speed, or the error as a text."""
    try:
        return next(program)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
