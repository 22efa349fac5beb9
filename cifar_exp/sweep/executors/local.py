"""Trainers that are processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from multiprocessing.connection import Connection, wait
from typing import Self

from cifar_exp.components.datasets import open_dataset
from cifar_exp.sweep.executors import Begun, Death, Message, fork_server
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.trainer import Group, Step, train_group

SECONDS_TO_LEAVE = 10


class LocalExecutor:
    """Processes, each started when a group needs it and replaced where it dies.

    Args:
        num_trainers: Groups that are trained side by side.
        num_threads: Threads of each trainer.
        alarms: Connections that end the wait for messages as well.
    """

    def __init__(
        self, num_trainers: int, num_threads: int, alarms: Sequence[Connection] = ()
    ) -> None:
        self._num_trainers = num_trainers
        self._num_threads = num_threads
        self._alarms = list(alarms)
        self._idle: list[TrainerProcess] = []
        self._busy: list[TrainerProcess] = []

    def __enter__(self) -> Self:
        """Begin to load what trainers need, beside what this process does meanwhile."""
        fork_server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End all trainers: those that have nothing to do by themselves."""
        for trainer in self._busy:
            trainer.kill()
        for trainer in self._idle:
            trainer.leave() if kind is None else trainer.kill()

    @property
    def has_free_trainer(self) -> bool:
        """Whether another group can begin now."""
        return len(self._busy) < self._num_trainers

    def begin(self, group: Group) -> TrainerProcess:
        """Let a trainer train a group; one that cannot be started tells of its death."""
        trainer = self._take()
        self._busy.append(trainer)
        trainer.begin(group)
        return trainer

    def messages(self, seconds: float | None) -> Iterator[tuple[TrainerProcess, Message]]:
        """Wait for messages, for so long at most, and give those that are there."""
        by_connection = {trainer.connection: trainer for trainer in self._busy}
        for ready in wait([*by_connection, *self._alarms], seconds):
            trainer = by_connection.get(ready)  # type: ignore[call-overload]
            if trainer is not None:
                message = trainer.receive()
                self._sort(trainer, message)
                yield trainer, message

    def _take(self) -> TrainerProcess:
        while self._idle:
            trainer = self._idle.pop()
            if trainer.is_alive:
                return trainer
        return TrainerProcess(self._num_threads)

    def _sort(self, trainer: TrainerProcess, message: Message) -> None:
        """Take note of a trainer that is free again, or dead."""
        match message:
            case Death():
                self._busy.remove(trainer)
            case Exception():
                self._free(trainer)
            case Step(epochs=epochs) if not epochs:
                self._free(trainer)

    def _free(self, trainer: TrainerProcess) -> None:
        self._busy.remove(trainer)
        self._idle.append(trainer)


class TrainerProcess:
    """One process that trains, from its start to its end.

    Args:
        num_threads: Its threads.
    """

    def __init__(self, num_threads: int) -> None:
        context = fork_server.context()
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, dict(os.environ), num_threads))
        with suppress(*fork_server.GONE):  # then it has died before it was born
            fork_server.start_process(self._process)
        theirs.close()  # now the process alone has it: when it dies, this end is told

    @property
    def is_alive(self) -> bool:
        """Whether the process, which has nothing to do, can train another group."""
        return not self.connection.poll()  # all there could be to read is the end

    def begin(self, group: Group) -> None:
        """Give it a group."""
        with suppress(OSError):  # it is dead, and `receive` will say so
            self.connection.send(group)

    def go_on(self, answers: Mapping[int, bool]) -> None:
        """Say which trainings go on."""
        with suppress(OSError):
            self.connection.send(answers)

    def receive(self) -> Message:
        """Return its next message."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return self._death()
        return message

    def leave(self) -> None:
        """Let the process end; it has nothing to do."""
        with suppress(OSError):  # it has died of itself
            self.connection.send(None)
        self._process.join(SECONDS_TO_LEAVE)
        if self._process.exitcode is None:
            self.kill()

    def kill(self) -> None:
        """End the process where it is."""
        if self._process.pid is not None:
            with suppress(ProcessLookupError):
                # Process.kill takes it for dead once its fork server is
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.join()

    def _death(self) -> Death:
        if self._process.pid is None:
            return Death("it could not be started")
        self._process.join()
        code = self._process.exitcode
        assert code is not None
        return Death(f"signal {-code}" if code < 0 else f"exit code {code}")


def _serve(connection: Connection, environment: Mapping[str, str], num_threads: int) -> None:
    """Train the groups that come, in the process of the trainer."""
    os.environ.clear()  # a fork server may be older than the parent's variables
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they reach the parent too, which decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    prepare_process(num_threads)
    with suppress(EOFError, OSError):  # the parent has died
        while (group := connection.recv()) is not None:
            _train(group, connection)


def _train(group: Group, connection: Connection) -> None:
    """Train a group, step by step as the parent says."""
    steps = None
    answers = None
    while True:
        try:
            if steps is None:
                steps = train_group(group, _dataset(group.data_path))
                connection.send(Begun())
            step = steps.send(answers)  # type: ignore[arg-type]  # None begins
        except Exception as error:
            connection.send(_portable(error))
            return
        connection.send(step)
        if not step.epochs:
            return
        answers = connection.recv()


_dataset = lru_cache(maxsize=1)(open_dataset)


def _portable(error: Exception) -> Exception:
    """Return an error in a form that the parent can read."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error may need what it does not carry
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
