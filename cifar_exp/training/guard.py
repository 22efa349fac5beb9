"""What a training raises, turned into its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cifar_exp.system.formatting import first_line
from cifar_exp.system.signals import Terminated
from cifar_exp.training.loop import Diverged

CPU_OUT_OF_MEMORY = "can't allocate memory"  # torch's CPU allocator raises a plain RuntimeError


class TrainingError(Exception):
    """A training broke: a network that cannot take the images, memory that ran out, a bug."""


class Guard:
    """Takes the steps of one training: what breaks there ends that training alone.

    Args:
        batch_size: The training's, which is named where memory runs out.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size

    def __call__(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """Take a step and return what it does.

        Raises:
            Diverged: As the step does.
            TrainingError: Anything else was raised, be it SystemExit; but Ctrl-C and SIGTERM are
                the user's and pass.
        """
        try:
            return step(*arguments)
        except (Diverged, KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:
            raise TrainingError(self._reason(error)) from error

    def _reason(self, error: BaseException) -> str:
        out_of_memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if out_of_memory or CPU_OUT_OF_MEMORY in str(error):
            return f"out of memory at batch size {self._batch_size}"
        said = first_line(error)
        return f"{type(error).__name__}: {said}" if said else type(error).__name__
