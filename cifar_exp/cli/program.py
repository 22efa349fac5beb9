"""The program: it runs a command, and ends in one sentence and an exit code where that fails."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import traceback
from typing import NoReturn

import click

from cifar_exp.cli.parameters import cli
from cifar_exp.errors import BadInput, Unavailable
from cifar_exp.system.formatting import first_line
from cifar_exp.system.signals import INTERRUPTED, TERMINATED, Terminated, end_in_good_order
from cifar_exp.system.urls import hide, secrets_given

BAD_INPUT, ENVIRONMENT = 2, 3


def main() -> NoReturn:
    """Run the command line; a failure ends in one sentence and its exit code."""
    end_in_good_order()
    atexit.register(gc.freeze)  # or Python looks through all that was loaded once more: a second
    debug = "--debug" in sys.argv
    try:
        cli.main([a for a in sys.argv[1:] if a != "--debug"], "cifar-exp", standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _say(shown.getvalue().rstrip("\n"))
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt, Terminated, Exception) as error:
        code, sentence = _explain(error)
        _say(f"{traceback.format_exc()}{sentence}" if debug else sentence)
        sys.exit(code)
    sys.exit(0)


def _say(text: str) -> None:
    """Print to standard error, without the passwords that the command was given."""
    click.echo(hide(text, secrets_given(sys.argv, os.environ)), err=True)


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the sentence for what ended a command."""
    match error:
        case BadInput():
            return BAD_INPUT, str(error)
        case Unavailable():
            return ENVIRONMENT, str(error)
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED, "interrupted; the same command goes on from here"
        case Terminated():
            return TERMINATED, "terminated; the same command goes on from here"
    return ENVIRONMENT, f"{type(error).__name__}: {first_line(error)} (--debug shows where)"
