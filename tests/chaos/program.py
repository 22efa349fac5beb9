"""The command line with losses that misbehave, checkpoints after every epoch, and a count.

What is done here holds in worker processes, too: they import the main module again, or are forked
from a process of it. Each epoch
that is trained leaves a byte in the file that CHAOS_EPOCHS names. The report has no pictures: to
draw them would take longer than all the trainings of a tiny sweep. With a file descriptor in place
of a command, this is the process that commands are forked from (template.py).
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
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.training import checkpoint, loop
from cifar_exp.training.group.program import Program
from cifar_exp.training.loop import EpochMetrics
from tests.chaos import template

MANY = 2**50


class Hanging(CrossEntropy):
    """Never comes back, and never gives Python's lock back."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        del logits, labels
        return torch.tensor(pow(7, 10**9))


class Exiting(CrossEntropy):
    """Ends the process, as far as Python goes."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise SystemExit(f"enough of {len(labels)} of {len(logits)}")


class Greedy(CrossEntropy):
    """Asks the processor for more memory than there is."""

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return super().__call__(logits, labels) + torch.empty(MANY).sum()


class Falling(CrossEntropy):
    """Falls without end once there has been an epoch: to -inf, inf or NaN, or NaN in validation."""

    to: Literal["-inf", "inf", "nan"] = "nan"

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return super().__call__(logits, labels) * float(self.to)


def slowly(train: Callable[..., Iterator[EpochMetrics]]) -> Callable[..., Iterator[EpochMetrics]]:
    """Count an epoch, unless it warms up, and let it take as long as CHAOS_SECONDS says.

    It also waits for as long as there is a file of the name CHAOS_GATE.
    """

    def trained(model: Any, config: Any, data: Dataset, *start: Any) -> Iterator[EpochMetrics]:
        for metrics in train(model, config, data, *start):
            if len(data.train) > loop.WARM_UP_IMAGES:
                count(1)
            yield metrics

    return trained


EpochOfGroup = Callable[[Program, int], list[float]]


def slowly_together(train_epoch: EpochOfGroup) -> EpochOfGroup:
    """Do the same with an epoch of a group, which counts once for each of its networks."""

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
