"""The trainings of a group: each is a member of it, and one program trains all of them."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

from cifar_exp.components.datasets import Dataset, Split
from cifar_exp.components.losses import Loss
from cifar_exp.components.metrics.scores import (
    Evaluation,
    Scores,
    evaluations_of,
    scores_of,
    temperatures_of,
)
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import hardware, loop, untrained
from cifar_exp.training.checkpoint import Checkpoint
from cifar_exp.training.evaluation import LOSS_NOT_FINITE, OUTPUT_NOT_FINITE, Diverged
from cifar_exp.training.group.program import NetworkState, Program, check_state, in_order
from cifar_exp.training.guard import is_out_of_memory
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import TooWide

Measured = TypeVar("Measured")
Measure = Callable[[torch.Tensor, torch.Tensor, Sequence[Loss]], list[Measured]]

CAPTURE_SECONDS = {"cpu": 0.0, "cuda": 1.0}
"""Time to set up a program of fewer networks, which must save more than that."""


class Together:
    """Trains the networks of a group by one program.

    The members ask for their results one by one; the first one that asks for an epoch has it
    trained for all that are as far. A member that ends leaves the program at the next epoch, if
    that saves time.

    Args:
        configs: The training of each member. They differ in loss, optimizer, schedule, their
            settings and learning rate only.
        data: The data set.
    """

    def __init__(self, configs: Sequence[TrialConfig], data: Dataset) -> None:
        self.configs = dict(enumerate(configs))
        """The trainings of the members that have not ended."""
        self._train = hardware.on_device(data.train)
        self._val = hardware.on_device(data.val)
        self._test = data.test
        self._num_classes = data.num_classes
        self._ema = configs[0].ema is not None
        self.template = untrained.initial_model(configs[0].model, data, configs[0].seed)
        self.seconds = dict.fromkeys(self.configs, 0.0)
        """The share of each member in the wall time."""
        self._states: dict[int, NetworkState] = {}
        """The networks that are in no program; one that is in neither is untrained."""
        self._num_done = dict.fromkeys(self.configs, 0)
        self._metrics: dict[int, EpochMetrics] = {}
        self._errors: dict[int, BaseException] = {}
        self._tested: dict[tuple[int, bool], Evaluation] = {}
        """By member, and whether it is of the average of the weights."""
        self._program: Program | None = None
        self._rows: list[int] = []
        """The members in the program, in its order."""
        self._last_epoch_seconds = 0.0
        loop.warm_up(configs[0], data)

    def set_state(self, member: int, state: NetworkState, num_epochs: int) -> None:
        """Continue with a network that has been trained for some epochs.

        Raises:
            KeyError, RuntimeError: The state is of another network or optimizer.
        """
        check_state(state, self.configs[member], self.template)
        self._states[member] = state
        self._num_done[member] = num_epochs

    def train_epoch(self, member: int, epoch: int) -> EpochMetrics:
        """Return the metrics of an epoch of a member, which must be its next one.

        Raises:
            TooWide: The memory does not suffice for so many networks.
            Exception: The error of this member, or of all.
        """
        if member not in self._metrics and member not in self._errors:
            self._try_epoch(epoch)
        if member in self._errors:
            raise self._errors.pop(member)
        return self._metrics.pop(member)

    def test(self, member: int, *, averaged: bool = False) -> Evaluation:
        """Return the evaluation of a member on the test split, with its temperature.

        Args:
            member: The member.
            averaged: Whether to evaluate the average of its weights, which there must be.
        """
        if (member, averaged) not in self._tested:
            num_done = self._num_done[member]
            members = [m for m in self.configs if self._num_done[m] == num_done]
            with self._shared_time(members):
                self._program_of(members, num_done + 1)
                tested = self._test_all(members, averaged)
                self._tested |= {(m, averaged): found for m, found in tested.items()}
        evaluation = self._tested.pop((member, averaged))
        if not _is_finite(evaluation.scores):
            raise Diverged(OUTPUT_NOT_FINITE)
        return evaluation

    def state(self, member: int) -> NetworkState:
        """Return a copy of the network of a member, on the CPU."""
        if member in self._rows and self._program is not None:
            return self._program.state(self._rows.index(member)).to_cpu()
        return self._states[member]

    def end(self, member: int) -> None:
        """End a member."""
        self.configs.pop(member, None)

    def _try_epoch(self, epoch: int) -> None:
        """Train an epoch of all members that are as far; errors are kept for each of them."""
        members = [m for m in self.configs if self._num_done[m] == epoch - 1]
        try:
            with self._shared_time(members):
                self._train_epoch(members, epoch)
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error) and len(members) > 1:
                raise TooWide(len(members) // 2) from error
            self._errors |= dict.fromkeys(members, error)
        for member in members:
            self._num_done[member] = epoch

    def _train_epoch(self, members: Sequence[int], epoch: int) -> None:
        started = time.perf_counter()
        program = self._program_of(members, epoch)
        begun = time.perf_counter()
        losses = dict(zip(self._rows, program.train_epoch(epoch), strict=True))
        trained = time.perf_counter()
        scores = self._evaluate(members, self._val, scores_of)
        averages = self._evaluate(members, self._val, scores_of, averaged=True) if self._ema else {}
        self._last_epoch_seconds = time.perf_counter() - begun
        seconds = (time.perf_counter() - started) / len(members)
        num_images = len(members) * len(self._train)
        for member in members:
            if not math.isfinite(losses[member]):
                self._errors[member] = Diverged(LOSS_NOT_FINITE)
            elif not all(map(_is_finite, (scores[member], averages.get(member, scores[member])))):
                self._errors[member] = Diverged(OUTPUT_NOT_FINITE)
            else:
                self._metrics[member] = EpochMetrics(
                    epoch=epoch,
                    train_loss=losses[member],
                    val=scores[member],
                    seconds=seconds,
                    images_per_second=num_images / (trained - begun),
                    val_ema=averages.get(member),
                )

    def _program_of(self, members: Sequence[int], epoch: int) -> Program:
        """Return a program that has these members, with others only if packing does not pay."""
        if self._program is not None and set(members) <= set(self._rows):
            ended = 1 - len(members) / len(self._rows)
            num_left = self.configs[members[0]].epochs - epoch + 1
            saved = ended * num_left * self._last_epoch_seconds
            if saved <= CAPTURE_SECONDS[hardware.device().type]:
                return self._program
        self._leave_program()
        configs = {member: self.configs[member] for member in members}
        self._rows = in_order(configs)
        states = [self._states.pop(member, None) for member in self._rows]
        self._program = Program(
            [configs[member] for member in self._rows],
            self.template,
            self._train,
            states,
            self._num_classes,
        )
        return self._program

    def _leave_program(self) -> None:
        """Take the networks of all running members out of the program."""
        for member in set(self._rows) & set(self.configs):
            self._states[member] = self.state(member)
        self._program, self._rows = None, []

    def _test_all(self, members: Sequence[int], averaged: bool) -> dict[int, Evaluation]:
        """Evaluate members on the test split, with temperatures of the validation split."""
        temperatures = self._evaluate(members, self._val, temperatures_of, averaged=averaged)
        measure = partial(evaluations_of, temperatures=list(temperatures.values()))
        return self._evaluate(members, hardware.on_device(self._test), measure, averaged=averaged)

    def _evaluate(
        self,
        members: Sequence[int],
        split: Split,
        measure: Measure[Measured],
        *,
        averaged: bool = False,
    ) -> dict[int, Measured]:
        """Measure members of the program, all together on their device."""
        assert self._program is not None
        logits = self._program.logits(split, averaged=averaged)
        rows = torch.tensor([self._rows.index(m) for m in members], device=logits.device)
        losses = [self.configs[member].loss_settings for member in members]
        measured = measure(logits.index_select(0, rows), split.labels, losses)
        return dict(zip(members, measured, strict=True))

    @contextmanager
    def _shared_time(self, members: Sequence[int]) -> Iterator[None]:
        """Divide the time of this context among members."""
        started = time.perf_counter()
        try:
            yield
        finally:
            for member in members:
                self.seconds[member] += (time.perf_counter() - started) / len(members)


def _is_finite(scores: Scores) -> bool:
    return all(map(math.isfinite, scores.values.values()))


class Member:
    """One training of a group.

    Args:
        together: The group.
        index: The member.
    """

    form = "group"

    def __init__(self, together: Together, index: int) -> None:
        self._together = together
        self._index = index
        self.together = len(together.configs)

    def build(self, checkpoint: Checkpoint | None) -> None:
        """Set the state of the network; its program is built with the next epoch."""
        if checkpoint is not None:
            state = NetworkState(
                weights=checkpoint.model,
                optimizer=checkpoint.optimizer["states"],
                num_steps=checkpoint.optimizer["num_steps"],
                loss_memory=checkpoint.extra["loss_memory"],
                average=checkpoint.extra["average"],
            )
            self._together.set_state(self._index, state, len(checkpoint.history))

    def train_epoch(self, epoch: int) -> EpochMetrics:
        """Train the epoch that follows, and validate."""
        return self._together.train_epoch(self._index, epoch)

    def test(self) -> Evaluation:
        """Evaluate the network on the test split, with the temperature of the validation split."""
        return self._together.test(self._index)

    def test_average(self) -> Evaluation | None:
        """Evaluate the average of the weights likewise, if there is one."""
        if self._together.configs[self._index].ema is None:
            return None
        return self._together.test(self._index, averaged=True)

    def checkpoint(self, epochs: Sequence[EpochMetrics], seconds: float) -> Checkpoint:
        """Return a copy of the present state."""
        state = self._together.state(self._index)
        optimizer = {"states": state.optimizer, "num_steps": state.num_steps}
        extra = {"loss_memory": state.loss_memory, "average": state.average}
        return Checkpoint.of(state.weights, optimizer, epochs, seconds, extra)

    def network(self) -> torch.nn.Module:
        """Return the trained network, on the CPU."""
        network = copy.deepcopy(self._together.template)
        network.load_state_dict(dict(self._together.state(self._index).weights))
        return network

    def seconds(self) -> float:
        """Return the share of the network in the wall time."""
        return self._together.seconds[self._index]

    def end(self) -> None:
        """Leave the group."""
        self._together.end(self._index)
