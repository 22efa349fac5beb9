"""The modules that the fork server loads for trainers.

`gc.freeze` excludes their objects from garbage collection, which would copy the shared memory.
"""

import gc
import pickle
import sys
from types import TracebackType

import torch._dynamo  # which the first optimizer loads

import cifar_exp.sweep.executors.local


def print_unless_parent_ended(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print an exception of the fork server, unless a parent ended while it started a process.

    After an interruption of the command, the message of a process that it was starting is missing
    or incomplete. The process then ends, and nothing is lost.
    """
    if not issubclass(kind, EOFError | pickle.UnpicklingError):
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = print_unless_parent_ended
gc.freeze()

__all__ = ["cifar_exp", "torch"]
