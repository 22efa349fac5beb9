"""What trains the network of one training: alone, or as a member of a group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import evaluation, loop, untrained
from cifar_exp.training.checkpoint import Checkpoint
from cifar_exp.training.loop import EpochMetrics


class Learner(Protocol):
    """Trains one network, epoch by epoch."""

    form: str
    """How its state is stored in a checkpoint, see `key_of`."""
    together: int
    """How many networks its program trains."""

    def build(self, checkpoint: Checkpoint | None) -> None:
        """Build the network and its optimizer, in the state of a checkpoint if there is one."""

    def train_epoch(self, epoch: int) -> EpochMetrics:
        """Train the epoch that follows, counted from 1, and validate.

        Raises:
            Diverged: The loss or an output is not finite.
        """

    def test(self) -> Evaluation:
        """Evaluate the network on the test split, with the temperature of the validation split."""

    def test_average(self) -> Evaluation | None:
        """Evaluate the average of the weights likewise, if there is one."""

    def checkpoint(self, epochs: Sequence[EpochMetrics], seconds: float) -> Checkpoint:
        """Return the present state; its tensors may not be copied."""

    def network(self) -> torch.nn.Module:
        """Return the trained network."""

    def seconds(self) -> float:
        """Return the wall time so far; networks of a group share their time evenly."""

    def end(self) -> None:
        """End the training: nothing else is asked."""


class Alone:
    """Trains one network by `loop.train`.

    Args:
        config: The training.
        data: The data set.
    """

    form = "alone"
    together = 1

    def __init__(self, config: TrialConfig, data: Dataset) -> None:
        self._config = config
        self._data = data
        self._epochs: Iterator[EpochMetrics] = iter(())
        loop.warm_up(config, data)
        self._started = time.perf_counter()

    def build(self, checkpoint: Checkpoint | None) -> None:
        """Build the network and its optimizer, in the state of a checkpoint if there is one."""
        config, data = self._config, self._data
        self._network = untrained.build_model(config, data)
        self._optimizer = untrained.build_optimizer(self._network, config)
        self._criterion = untrained.build_criterion(config, data)
        self._average = untrained.build_average(self._network, config)
        if checkpoint is not None:
            checkpoint.restore(self._network, self._optimizer)
            self._criterion.memory.copy_(checkpoint.extra["loss_memory"])
            if self._average is not None:
                self._average.load(checkpoint.extra["average"])
        num_done = 0 if checkpoint is None else len(checkpoint.history)
        self._epochs = loop.train(
            self._network,
            config,
            data,
            self._optimizer,
            num_done,
            self._criterion,
            self._average,
        )

    def train_epoch(self, epoch: int) -> EpochMetrics:  # noqa: ARG002
        """Train the epoch that follows, and validate."""
        return next(self._epochs)

    def test(self) -> Evaluation:
        """Evaluate the network on the test split, with the temperature of the validation split."""
        return self._test(self._network)

    def test_average(self) -> Evaluation | None:
        """Evaluate the average of the weights likewise, if there is one."""
        return None if self._average is None else self._test(self._average.network)

    def _test(self, network: torch.nn.Module) -> Evaluation:
        data, loss, precision = self._data, self._config.loss_settings, self._config.precision
        temperature = evaluation.fit_temperature(network, loss, data.val, precision)
        return evaluation.evaluate(network, loss, data.test, precision, temperature)

    def checkpoint(self, epochs: Sequence[EpochMetrics], seconds: float) -> Checkpoint:
        """Return the present state; its tensors are not copied."""
        weights, optimizer = self._network.state_dict(), self._optimizer.state_dict()
        average = None if self._average is None else self._average.state()
        extra = {"loss_memory": self._criterion.memory, "average": average}
        return Checkpoint.of(weights, optimizer, epochs, seconds, extra)

    def network(self) -> torch.nn.Module:
        """Return the trained network."""
        return self._network

    def seconds(self) -> float:
        """Return the wall time so far."""
        return time.perf_counter() - self._started

    def end(self) -> None:
        """Do nothing."""
