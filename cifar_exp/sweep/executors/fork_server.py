"""The fork server: trainers are forked from a process that has loaded their libraries.

Loading torch takes seconds of CPU time and hundreds of megabytes. A forked trainer has it at once
and shares its memory; so does the replacement of a dead trainer.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import forkserver, resource_tracker
from types import ModuleType
from typing import TYPE_CHECKING

from cifar_exp.system import signals

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

# Forking is safe in a process that has only loaded libraries: it has no thread pool yet and has
# not used a GPU. On macOS the system libraries do not support fork.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"

LOADED = "cifar_exp.sweep.preload"
"""The module that the fork server preloads."""
GONE = (EOFError, ConnectionError)
"""Errors raised when a process is started and the server has died."""


def context() -> ForkServerContext | SpawnContext:
    """Return the multiprocessing context of trainers; starts the server if it is not running.

    A process inherits the environment that the server was started with.
    """
    if METHOD == "spawn":
        return multiprocessing.get_context("spawn")
    fork_context = multiprocessing.get_context("forkserver")
    fork_context.set_forkserver_preload([LOADED])
    with _isolated():
        forkserver.ensure_running()
    return fork_context


def start() -> None:
    """Start the server, which loads its modules in the background."""
    if METHOD == "forkserver":
        context()


def load() -> None:
    """Wait until the server has loaded its modules."""
    if METHOD == "spawn":
        return
    with suppress(*GONE):  # could not load; starting the first trainer reports it
        first = context().Process(target=int)
        start_process(first)
        first.join()


def start_process(process: BaseProcess) -> None:
    """Start a process that was created by `context`; it does not import this process's program.

    Raises:
        One of GONE: The fork server has died.
    """
    with _without_program(), _isolated() if METHOD == "spawn" else nullcontext():
        process.start()


@contextmanager
def _without_program() -> Iterator[None]:
    """Start processes that do not import the main module, of which they need nothing.

    Python would run a script in each of them again, with the sweep that it starts unless a
    `__main__` guard prevents this.
    """
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _start_resource_tracker() -> None:
    """Start Python's resource tracker, again if it was killed: trainers leave it nothing to track.

    Python would warn of leaks.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "resource_tracker: process died")
        resource_tracker.ensure_running()


@contextmanager
def _isolated() -> Iterator[None]:
    """Start processes with this process's import path, and leave signals to this process.

    Python would otherwise search the current folder first, where a file of the user may have the
    name of a library.
    """
    saved = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    with signals.leaving_to_parent():
        _start_resource_tracker()
    with signals.leaving_to_parent():  # again, as that has unblocked SIGINT and SIGTERM
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        os.environ["PYTHONSAFEPATH"] = "1"
        try:
            yield
        finally:
            for name, value in saved.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
