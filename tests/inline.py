"""Trainers in the process of the test, so that monkeypatches apply to them as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import Connection

from cifar_exp.components.datasets import open_dataset
from cifar_exp.sweep.executors import Begun, Executor, Message
from cifar_exp.sweep.sweep import Sweep
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.messages import Group, TooWide
from cifar_exp.training.trainer import train_group


class InlineTrainer:
    def __init__(self, group: Group) -> None:
        self._steps = train_group(group, open_dataset(group.data_path))
        self._answers: Mapping[int, bool] | None = None
        self.begun = False
        self.ended = False

    def go_on(self, answers: Mapping[int, bool]) -> None:
        self._answers = answers

    def kill(self) -> None:
        self._steps.close()

    def message(self) -> Message:
        if not self.begun:
            self.begun = True
            return Begun()
        try:
            step = self._steps.send(self._answers)  # type: ignore[arg-type]  # None begins
        except TooWide as error:
            self.ended = True
            return error
        self.ended = not step.epochs
        return step


class InlineExecutor:
    """Provides trainers that run their steps in turn."""

    def __init__(self, num_trainers: int) -> None:
        self._num_trainers = num_trainers
        self._busy: list[InlineTrainer] = []

    @property
    def num_free(self) -> int:
        return self._num_trainers - len(self._busy)

    def begin(self, group: Group) -> InlineTrainer:
        trainer = InlineTrainer(group)
        self._busy.append(trainer)
        return trainer

    def messages(self, seconds: float | None) -> Iterator[tuple[InlineTrainer, Message]]:
        del seconds
        for trainer in list(self._busy):
            message = trainer.message()
            if trainer.ended:
                self._busy.remove(trainer)
            yield trainer, message


def inline_executor(sweep: Sweep, alarms: Sequence[Connection]) -> AbstractContextManager[Executor]:
    del alarms
    prepare_process(sweep.threads)
    return nullcontext(InlineExecutor(sweep.workers))
