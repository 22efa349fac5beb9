"""Measure how many epochs per second the recorder writes, with simulated trainers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import Connection

from benchmarks.asked import sweep_of
from benchmarks.figure import Figure, show
from benchmarks.folder import own_folder
from cifar_exp.components.metrics.metrics import AS_TRAINED
from cifar_exp.components.metrics.scores import Scores
from cifar_exp.sweep import prepare, sweep
from cifar_exp.sweep.executors import Begun, Executor, Message
from cifar_exp.sweep.sweep import Sweep
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Group, Outcome, Step

AT_LEAST = 500.0
SIDE_BY_SIDE = 64
DEFINITION = """
name = "recording"
dataset = "digits"
model = "seed_cnn"
epochs = {epochs}
search = {{ trials = {trials}, sampler = "random", pruner = "none", batch_size = [64] }}
confirm = {{ seeds = 1 }}
losses = {{ cross_entropy = {{}} }}
optimizers = {{ sgd = {{ lr = {{ low = 1e-3, high = 1e-2 }} }} }}
"""
SCORES = Scores(dict.fromkeys(AS_TRAINED, 0.5))


class SimulatedTrainer:
    """Reports epochs as fast as they are requested."""

    def __init__(self, epochs: int) -> None:
        self._left = list(range(1, epochs + 1))
        self._begun = False

    def go_on(self, answers: Mapping[int, bool]) -> None:
        """Continue training."""

    def kill(self) -> None:
        """End the trainer."""

    def message(self) -> Message:
        """Return the next message."""
        if not self._begun:
            self._begun = True
            return Begun()
        if not self._left:
            outcome = Outcome(state="COMPLETE", epochs=1, val_accuracy=0.5, seconds=1.0)
            return Step(epochs={}, outcomes={0: outcome})
        metrics = EpochMetrics(
            epoch=self._left.pop(0),
            train_loss=1.0,
            val=SCORES,
            seconds=1.0,
            images_per_second=1.0,
        )
        return Step(epochs={0: metrics}, outcomes={})


class SimulatedExecutor:
    """Provides trainers that take no time; in each turn every one of them reports an epoch."""

    def __init__(self, num_trainers: int) -> None:
        self._num_trainers = num_trainers
        self._busy: list[SimulatedTrainer] = []

    @property
    def num_free(self) -> int:
        """The number of groups that can start now."""
        return self._num_trainers - len(self._busy)

    def begin(self, group: Group) -> SimulatedTrainer:
        """Start a group."""
        trainer = SimulatedTrainer(group.trainings[0].config.epochs)
        self._busy.append(trainer)
        return trainer

    def messages(self, seconds: float | None) -> Iterator[tuple[SimulatedTrainer, Message]]:
        """Yield a message of every trainer."""
        del seconds
        for trainer in list(self._busy):
            message = trainer.message()
            if isinstance(message, Step) and not message.epochs:
                self._busy.remove(trainer)
            yield trainer, message


def measure(trials: int = 128, epochs: int = 100) -> list[Figure]:
    """Record trainings in a database file, from the first event to the end of the ranking.

    Networks are not stored: that happens once per training, not once per epoch.
    """

    def simulated(request: Sweep, alarms: Sequence[Connection]) -> AbstractContextManager[Executor]:
        del alarms
        return nullcontext(SimulatedExecutor(request.workers))

    with own_folder() as folder:
        request = sweep_of(
            DEFINITION.format(trials=trials, epochs=epochs),
            f"sqlite:///{folder / 'mlflow.db'}",
            folder,
            workers=SIDE_BY_SIDE,
        )
        data = prepare.prepare(request.experiment)
        begun: list[float] = []
        started = time.process_time()
        sweep.run(request, data, lambda _: begun.append(time.perf_counter()), simulated)
        cpu_seconds = time.process_time() - started
        seconds = time.perf_counter() - begun[0]
    num_epochs = (trials + 1) * epochs
    return [
        Figure(
            name="epochs recorded a second",
            value=num_epochs / seconds,
            unit="x",
            at_least=AT_LEAST,
            detail=f"{num_epochs} epochs of {trials + 1} trainings, {SIDE_BY_SIDE} side by side, "
            f"with their runs and the ranking, in {seconds:.1f} s ({cpu_seconds:.1f} CPU s)",
        )
    ]


if __name__ == "__main__":
    sys.exit(show(measure()))
