"""Ctrl-C and SIGTERM: the first one ends the command in good order, and within a bounded time."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from types import FrameType

BOTH = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_END = 8.0
INTERRUPTED, TERMINATED = 130, 143


class Terminated(BaseException):
    """The process was asked to end by SIGTERM."""


def end_in_good_order() -> None:
    """Let the first Ctrl-C raise KeyboardInterrupt and the first SIGTERM raise Terminated.

    Further ones are ignored: under `mlflow run` one Ctrl-C arrives several times, and to close
    the runs must not be cut short. A process that has not ended by itself after SECONDS_TO_END,
    because a store does not answer, say, ends where it is.
    """
    for handled in BOTH:
        signal.signal(handled, _on_signal)
    atexit.register(_hear_no_more)


def leave_to_main_thread() -> None:
    """Let no Ctrl-C or SIGTERM reach this thread, which could not wake the main one."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    for handled in BOTH:
        signal.signal(handled, _ignore)
    code = INTERRUPTED if number == signal.SIGINT else TERMINATED
    watchdog = threading.Timer(SECONDS_TO_END, _end_here, (code,))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; of a signal on its way to what becomes SIG_IGN, Python prints a traceback."""


def _hear_no_more() -> None:
    """Ignore signals from here on: once Python takes itself apart, no handler is called.

    A signal would then end the process, whose exit code and last sentence are settled.
    """
    for handled in BOTH:
        signal.signal(handled, signal.SIG_IGN)


def _end_here(code: int) -> None:
    sentence = "ended before all runs were closed; run the same command again to resume"
    print(sentence, file=sys.stderr, flush=True)
    os._exit(code)
