"""Converts the errors of a training, so that they end this training only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cifar_exp.components.plugins.registry import place_in_plugin
from cifar_exp.system.formatting import first_line
from cifar_exp.system.signals import Terminated
from cifar_exp.training.evaluation import Diverged
from cifar_exp.training.messages import TooWide

CPU_OUT_OF_MEMORY = "can't allocate memory"  # torch's CPU allocator raises a plain RuntimeError


class TrainingError(Exception):
    """A training failed: for example an unsuitable network, out of memory, or a bug."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error says that there is too little memory.

    If memory runs out in the capture of a CUDA graph, the end of the capture may raise another
    error, which has the first one as its context.
    """
    if error is None:
        return False
    too_little = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return too_little or CPU_OUT_OF_MEMORY in str(error) or is_out_of_memory(error.__context__)


class Guard:
    """Calls the steps of one training; an error in a step ends only that training.

    Args:
        batch_size: The batch size of the training, for the message of an out-of-memory error.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size

    def __call__(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Call a step and return its result.

        Raises:
            Diverged, TooWide: Raised by the step.
            TrainingError: The step raised any other error, including SystemExit. Interruptions by
                Ctrl-C and SIGTERM are not converted.
        """
        try:
            return step(*arguments)
        except (Diverged, TooWide, KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            raise TrainingError(self._reason(error)) from error

    def _reason(self, error: BaseException) -> str:
        if is_out_of_memory(error):
            return f"out of memory at batch size {self._batch_size}"
        message = first_line(error)
        reason = f"{type(error).__name__}: {message}" if message else type(error).__name__
        place = place_in_plugin(error)
        return reason if place is None else f"{reason} ({place})"
