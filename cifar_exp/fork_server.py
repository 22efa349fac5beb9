"""The process that workers are forked from, which has loaded what all of them need.

Torch, MLflow and Optuna take seconds of a core to load, and hundreds of megabytes. A worker that
is forked has them at once and shares their memory; so has one that replaces a dead worker.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext

# To fork is safe from a process that has loaded libraries and computed nothing: no pool of threads
# is there yet, and no GPU was touched. On macOS the system's own libraries do not allow it.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"

LOADED = [
    "cifar_exp.units",
    "cifar_exp.tracking.loaded",
    "torch._dynamo",  # which the first optimizer loads
]


def context() -> ForkServerContext | SpawnContext:
    """Return what worker processes are made with; each gets the fork server's environment."""
    if METHOD == "spawn":
        return multiprocessing.get_context("spawn")
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(LOADED)
    return made


def start() -> None:
    """Start the server, if there is none, and wait until it has loaded everything.

    The wait can be interrupted by Ctrl-C in the main thread alone. The server and its workers are
    out of reach of Ctrl-C and SIGTERM: their parent decides.
    """
    if METHOD != "forkserver":
        return
    made = context()
    resource_tracker.ensure_running()  # which would undo the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with suppress(EOFError):  # it could not load; whoever starts a worker will meet that, too
        first = made.Process(target=int)
        first.start()
        first.join()
