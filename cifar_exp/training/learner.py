"""What trains the network of one training: alone, or as a member of a group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.metrics.scores import Evaluation
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import loop
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
        self._network = loop.build_model(config, data)
        self._optimizer = loop.build_optimizer(self._network, config)
        self._criterion = loop.build_criterion(config, data)
        if checkpoint is not None:
            checkpoint.restore(self._network, self._optimizer)
            self._criterion.memory.copy_(checkpoint.extra["loss_memory"])
        num_done = 0 if checkpoint is None else len(checkpoint.history)
        self._epochs = loop.train(
            self._network, config, data, self._optimizer, num_done, self._criterion
        )

    def train_epoch(self, epoch: int) -> EpochMetrics:  # noqa: ARG002
        """Train the epoch that follows, and validate."""
        return next(self._epochs)

    def test(self) -> Evaluation:
        """Evaluate the network on the test split, with the temperature of the validation split."""
        data, loss, precision = self._data, self._config.loss_settings, self._config.precision
        temperature = loop.fit_temperature(self._network, loss, data.val, precision)
        return loop.evaluate(self._network, loss, data.test, precision, temperature)

    def checkpoint(self, epochs: Sequence[EpochMetrics], seconds: float) -> Checkpoint:
        """Return the present state; its tensors are not copied."""
        weights, optimizer = self._network.state_dict(), self._optimizer.state_dict()
        extra = {"loss_memory": self._criterion.memory}
        return Checkpoint.of(weights, optimizer, epochs, seconds, extra)

    def network(self) -> torch.nn.Module:
        """Return the trained network."""
        return self._network

    def seconds(self) -> float:
        """Return the wall time so far."""
        return time.perf_counter() - self._started

    def end(self) -> None:
        """Do nothing."""
