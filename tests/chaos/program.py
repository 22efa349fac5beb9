"""The command line with faulty losses, checkpoints after every epoch, and a count of the epochs.

The changes apply to worker processes as well: they import the main module again, or are forked
from a process of it. For each trained epoch one byte is appended to the file CHAOS_EPOCHS. The
report has no figures: drawing them would take longer than all trainings of a tiny sweep. If the
argument is a file descriptor instead of a command, this is the process that commands are forked
from (template.py).
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch

from cifar_exp import cli
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.context import Context
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.training import checkpoint, loop
from cifar_exp.training.group.program import Program
from cifar_exp.training.loop import EpochMetrics
from tests.chaos import template

MANY = 2**50


class Hanging(CrossEntropy):
    """Never returns, and never releases Python's global interpreter lock."""

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, context: Context | None = None
    ) -> torch.Tensor:
        del logits, targets, context
        return torch.tensor(pow(7, 10**9))


class Exiting(CrossEntropy):
    """Raises SystemExit."""

    def __call__(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        context: Context | None = None,  # noqa: ARG002
    ) -> torch.Tensor:
        raise SystemExit(f"enough of {len(targets)} of {len(logits)}")


class Greedy(CrossEntropy):
    """Allocates more memory than the machine has."""

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, context: Context | None = None
    ) -> torch.Tensor:
        return super().__call__(logits, targets, context) + torch.empty(MANY).sum()


class Falling(CrossEntropy):
    """Becomes -inf, inf or NaN after the first epoch, or NaN in validation."""

    to: Literal["-inf", "inf", "nan"] = "nan"

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, context: Context | None = None
    ) -> torch.Tensor:
        return super().__call__(logits, targets, context) * float(self.to)


def slowly(train: Callable[..., Iterator[EpochMetrics]]) -> Callable[..., Iterator[EpochMetrics]]:
    """Count an epoch, unless it is a warm-up, and let it take CHAOS_SECONDS.

    It also waits as long as the file CHAOS_GATE exists.
    """

    def trained(model: Any, config: Any, data: Dataset, *start: Any) -> Iterator[EpochMetrics]:
        for metrics in train(model, config, data, *start):
            if len(data.train) > loop.WARM_UP_IMAGES:
                count(1)
            yield metrics

    return trained


EpochOfGroup = Callable[[Program, int], list[float]]


def slowly_together(train_epoch: EpochOfGroup) -> EpochOfGroup:
    """Do the same for an epoch of a group, which counts once for each of its networks."""

    def trained(program: Program, epoch: int) -> list[float]:
        losses = train_epoch(program, epoch)
        count(len(losses))
        return losses

    return trained


def count(num_epochs: int) -> None:
    """Count epochs, and wait."""
    with Path(os.environ["CHAOS_EPOCHS"]).open("ab") as epochs:
        epochs.write(b"x" * num_epochs)
    time.sleep(float(os.environ.get("CHAOS_SECONDS", "0")))
    while Path(os.environ.get("CHAOS_GATE", "no gate")).exists():
        time.sleep(0.05)


def no_picture(*_: object) -> str:
    """Draw nothing."""
    return ""


checkpoint.SECONDS_BETWEEN, checkpoint.MOST_SHARE = 0.0, math.inf
loop.train = slowly(loop.train)
Program.train_epoch = slowly_together(Program.train_epoch)  # type: ignore[assignment, method-assign]
LOSSES |= {"hanging": Hanging, "exiting": Exiting, "greedy": Greedy, "falling": Falling}

if __name__ == "__main__":
    from cifar_exp.report import files  # no worker needs it

    files.store = no_picture  # type: ignore[assignment, attr-defined]
    if sys.argv[1].isdigit():
        template.serve(int(sys.argv[1]))
    cli.main()
