"""Handling of signals that end the process: graceful shutdown within a bounded time."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGXCPU")
ENDING = tuple(signal.Signals[name] for name in _NAMES if hasattr(signal, name))
"""Signals by which a user, a terminal or a batch system ends a process. Windows has only some."""
ALWAYS = (signal.SIGINT, signal.SIGTERM)
"""Signals that are handled even if they were ignored: a shell's background job ignores SIGINT."""
SECONDS_TO_END = 8.0
SECONDS_TO_PRINT = 1.0


class Terminated(BaseException):
    """The process has received a signal other than SIGINT."""

    def __init__(self, number: signal.Signals = signal.SIGTERM) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        """Return, for example, `terminated by SIGHUP`."""
        return (
            "terminated" if self.number == signal.SIGTERM else f"terminated by {self.number.name}"
        )


def exit_code(number: signal.Signals) -> int:
    """Return the exit code of a process that ended by a signal, as shells report it."""
    return 128 + number


def end_in_good_order(advice: str) -> None:
    """Let the first Ctrl-C raise KeyboardInterrupt and the first other signal raise Terminated.

    Further signals are ignored: under `mlflow run` one Ctrl-C arrives several times, and the
    closing of runs must not be interrupted. A process that has not ended after SECONDS_TO_END, for
    example because a store does not respond, exits at once. A signal that was ignored when the
    process started stays ignored, as SIGHUP under nohup; one with a handler keeps it.

    Args:
        advice: What to do after such an exit, for its message.
    """
    handled = [
        each for each in ENDING if each in ALWAYS or signal.getsignal(each) is signal.SIG_DFL
    ]
    for each in handled:
        signal.signal(each, partial(_on_signal, advice, handled))
    atexit.register(ignore, handled)


def ignore(numbers: Iterable[signal.Signals] = ENDING) -> None:
    """Ignore signals.

    At the end of Python no handler is called any more, and a signal would change the exit code.
    """
    for each in numbers:
        signal.signal(each, signal.SIG_IGN)


def leave_to_main_thread() -> None:
    """Block the signals in this thread, so that they interrupt the main thread."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


@contextmanager
def leaving_to_parent() -> Iterator[None]:
    """Start processes with the signals blocked: this process handles them and ends the others.

    A closed terminal, Ctrl-C and a batch system send a signal to all processes of a command.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _on_signal(
    advice: str, handled: Sequence[signal.Signals], number: int, _frame: FrameType | None
) -> None:
    for each in handled:
        signal.signal(each, _do_nothing)
    received = signal.Signals(number)
    watchdog = threading.Timer(SECONDS_TO_END, _exit_now, (exit_code(received), advice))
    watchdog.daemon = True
    watchdog.start()
    raise KeyboardInterrupt if received == signal.SIGINT else Terminated(received)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Ignore a signal; with SIG_IGN, Python prints a traceback for one that is pending."""


def _exit_now(code: int, advice: str) -> None:
    text = f"ended before everything was closed; {advice}"
    say = partial(print, text, file=sys.stderr, flush=True)
    thread = threading.Thread(target=say, daemon=True)  # a full pipe would block it
    thread.start()
    thread.join(SECONDS_TO_PRINT)
    os._exit(code)
