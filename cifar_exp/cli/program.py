"""Entry point: runs a command; a failure ends with one sentence and an exit code."""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click

from cifar_exp.cli.parameters import cli
from cifar_exp.errors import BadInput, Unavailable
from cifar_exp.system import output
from cifar_exp.system.formatting import first_line
from cifar_exp.system.signals import Terminated, end_in_good_order, exit_code
from cifar_exp.system.urls import hide, secrets_given

BAD_INPUT, ENVIRONMENT = 2, 3
RESUMES = "run the same command again to resume"
AFTER_INTERRUPTION: Mapping[str, str] = {
    **dict.fromkeys(("run", "doctor", "gc", "deliver"), RESUMES),
    "train": "`train` does not resume: the same command starts again at the first epoch",
}
"""What to do after the interruption of a command that records something."""
READING: Mapping[str, str] = {"watch": "the sweep goes on"}


def main() -> NoReturn:
    """Run the command line; a failure prints one sentence and sets the exit code."""
    output.protect_streams()
    command = _command(sys.argv[1:])
    advice = {**AFTER_INTERRUPTION, **READING}.get(command, "nothing was recorded")
    end_in_good_order(advice)
    atexit.register(gc.freeze)  # saves a second: no garbage collection at exit
    debug = "--debug" in sys.argv
    try:
        cli.main([a for a in sys.argv[1:] if a != "--debug"], "cifar-exp", standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _print_error(shown.getvalue().rstrip("\n"))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt, Terminated, Exception) as error:
        code, message = _explain(error, advice)
        _print_error(f"{traceback.format_exc()}{message}" if debug else message)
        sys.exit(code)
    _exit_unless_printed(command)
    sys.exit(0)


def _exit_unless_printed(command: str) -> None:
    """Say that output is lost; a command that records nothing has then failed."""
    if error := output.loss():
        _print_error(f"standard output is incomplete: {error.strerror}")
        if command not in AFTER_INTERRUPTION:
            sys.exit(ENVIRONMENT)


def _print_error(text: str) -> None:
    """Print to standard error, with the passwords given to the command hidden."""
    print(hide(text, secrets_given(sys.argv, os.environ)), file=sys.stderr)


def _command(words: Sequence[str]) -> str:
    """Return the name of the command in these words; "" without one."""
    return next((word for word in words if not word.startswith("-")), "")


def _explain(error: BaseException, advice: str) -> tuple[int, str]:
    """Return the exit code and the message for an error; `advice` follows an interruption."""
    match error:
        case BadInput():
            return BAD_INPUT, str(error)
        case Unavailable():
            return ENVIRONMENT, str(error)
        case click.Abort() | KeyboardInterrupt():
            return exit_code(signal.SIGINT), f"interrupted; {advice}"
        case Terminated():
            return exit_code(error.number), f"{error}; {advice}"
    return ENVIRONMENT, f"{type(error).__name__}: {first_line(error)} (--debug shows where)"
