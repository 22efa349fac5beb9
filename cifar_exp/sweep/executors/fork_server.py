"""The process that trainers are forked from, which has loaded what all of them need.

Torch takes seconds of a core to load, and hundreds of megabytes. A trainer that is forked has it
at once and shares its memory; so has one that replaces a dead trainer.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

# To fork is safe from a process that has loaded libraries and computed nothing: no pool of threads
# is there yet, and no GPU was touched. On macOS the system's own libraries do not allow it.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"

LOADED = "cifar_exp.sweep.preload"
"""The module that it loads."""
GONE = (EOFError, ConnectionError)
"""What starting a process raises where the server has died."""


def context() -> ForkServerContext | SpawnContext:
    """Return what trainer processes are made with; the server is started if there is none.

    A process gets the environment that the server was started with.
    """
    if METHOD == "spawn":
        return multiprocessing.get_context("spawn")
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload([LOADED])
    with _apart():
        forkserver.ensure_running()
    return made


def start() -> None:
    """Let the server load everything, beside what this process does meanwhile."""
    if METHOD == "forkserver":
        context()


def load() -> None:
    """Wait until the server has loaded everything."""
    if METHOD == "spawn":
        return
    with suppress(*GONE):  # it could not load; whoever starts a process will meet that, too
        first = context().Process(target=int)
        first.start()
        first.join()


def start_process(process: BaseProcess) -> None:
    """Start a process that was made with `context`.

    Raises:
        One of GONE: The fork server has died.
    """
    with _apart() if METHOD == "spawn" else nullcontext():
        process.start()


@contextmanager
def _apart() -> Iterator[None]:
    """Let a process that is started here import what this one would, and get no signal of the user.

    Python would look for modules in the current folder first, where a file of the user may be
    called like a library. Ctrl-C and SIGTERM reach the parent, which decides.
    """
    kept = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    resource_tracker.ensure_running()  # which would undo the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
