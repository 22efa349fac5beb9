"""One process that works on units, one at a time, and what is known of its death."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol, cast

from cifar_exp.sweep.executors import fork_server
from cifar_exp.training.death import Death
from cifar_exp.training.events import Watch
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.time_limit import Limit, hold

SECONDS_TO_LEAVE = 10

_changing = threading.Lock()
"""To start a process also asks how others have ended, and only one thread can be told."""


class Unit(Protocol):
    """A unit of work: it can run in any process, and again, where it goes on."""

    def run(self, watch: Watch) -> bool:
        """Do what is left of it, and tell of its progress.

        Returns whether it is done: it is not where another process is at it.
        """

    def died(self, death: Death, watch: Watch) -> bool:
        """Record that a process has died at it; say whether a training was under way there."""


class Worker:
    """A process of its own, from its start to its end.

    It takes as long to start as the fork server does, where that has only just been started.

    Args:
        num_threads: Threads of its trainings.
        time_limit: Seconds that a training may take, if there is a limit.
        dump: Where the process writes what it was at when a training took longer.
    """

    def __init__(self, num_threads: int, time_limit: float | None, dump: Path) -> None:
        self._time_limit = time_limit
        self._dump = dump
        with _changing:
            context = fork_server.context()
            self._connection, theirs = context.Pipe()
            self._process = context.Process(
                target=_serve, args=(theirs, dict(os.environ), num_threads, time_limit, dump)
            )
            self._process.start()
        theirs.close()  # now the process alone has it: when it dies, this end is told

    @property
    def is_alive(self) -> bool:
        """Whether the process, which has nothing to do, can do another unit."""
        return not self._connection.poll()  # all there could be to read is the end

    def work(self, unit: Unit, watch: Watch) -> bool | Death:
        """Let the process do a unit; return what that returns, or how the process has died.

        Raises:
            Exception: What the unit has raised.
        """
        try:
            self._connection.send(unit)
        except OSError:
            return self._death()
        while True:
            match self._hear():
                case "told", event:
                    watch(event)
                case "done", done:
                    return bool(done)
                case "raised", error:
                    raise error
                case _:
                    return self._death()

    def _hear(self) -> tuple[str, Any]:
        try:
            return cast("tuple[str, Any]", self._connection.recv())
        except (EOFError, OSError):
            return "dead", None

    def leave(self) -> None:
        """Let the process end; it has nothing to do."""
        with suppress(OSError):  # it has died of itself
            self._connection.send(None)
        self._process.join(SECONDS_TO_LEAVE)
        if self._process.exitcode is None:
            self.kill()

    def kill(self) -> None:
        """End the process where it is; what it had not finished is taken up another time."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            # Process.kill takes it for dead once its fork server is
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    def _death(self) -> Death:
        with _changing:
            self._process.join()
        if self._dump.exists() and self._dump.stat().st_size > 0:
            return Death(f"took longer than the limit of {self._time_limit:g} s", final=True)
        code = self._process.exitcode
        assert code is not None
        return Death(f"signal {-code}" if code < 0 else f"exit code {code}")


def _serve(
    connection: Connection,
    environment: Mapping[str, str],
    num_threads: int,
    time_limit: float | None,
    dump: Path,
) -> None:
    """Do the units that come, in the process of the worker."""
    os.environ.clear()  # a fork server may be older than the parent's variables
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they reach the parent too, which decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    prepare_process(num_threads)
    with dump.open("w") as file:
        if time_limit is not None:
            hold(Limit(time_limit, file))
        with suppress(EOFError, OSError):  # the parent has died
            while (unit := connection.recv()) is not None:
                connection.send(_attempt(unit, lambda event: connection.send(("told", event))))


def _attempt(unit: Unit, watch: Watch) -> tuple[str, bool | Exception]:
    """Do a unit; say what it has returned or raised, in a form that the parent can read."""
    try:
        return "done", unit.run(watch)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an error may need what it does not carry
            return "raised", RuntimeError(f"{type(error).__name__}: {error}")
        return "raised", error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
