"""Handling of SIGINT and SIGTERM: graceful shutdown within a bounded time."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from functools import partial
from types import FrameType

BOTH = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_END = 8.0
INTERRUPTED, TERMINATED = 130, 143


class Terminated(BaseException):
    """The process has received SIGTERM."""


def end_in_good_order(advice: str) -> None:
    """Let the first Ctrl-C raise KeyboardInterrupt and the first SIGTERM raise Terminated.

    Further signals are ignored: under `mlflow run` one Ctrl-C arrives several times, and the
    closing of runs must not be interrupted. A process that has not ended after SECONDS_TO_END, for
    example because a store does not respond, exits at once.

    Args:
        advice: What to do after such an exit, for its message.
    """
    for handled in BOTH:
        signal.signal(handled, partial(_on_signal, advice))
    atexit.register(_ignore_all)


def leave_to_main_thread() -> None:
    """Block SIGINT and SIGTERM in this thread, so that they interrupt the main thread."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, BOTH)


def _on_signal(advice: str, number: int, _frame: FrameType | None) -> None:
    for handled in BOTH:
        signal.signal(handled, _ignore)
    code = INTERRUPTED if number == signal.SIGINT else TERMINATED
    watchdog = threading.Timer(SECONDS_TO_END, _exit_now, (code, advice))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; with SIG_IGN, Python prints a traceback for a signal that is already pending."""


def _ignore_all() -> None:
    """Ignore signals during the shutdown of Python, when no handler is called any more.

    Otherwise a signal could end the process and change its exit code.
    """
    for handled in BOTH:
        signal.signal(handled, signal.SIG_IGN)


def _exit_now(code: int, advice: str) -> None:
    print(f"ended before everything was closed; {advice}", file=sys.stderr, flush=True)
    os._exit(code)
