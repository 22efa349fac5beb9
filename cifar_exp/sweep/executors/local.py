"""Trainers as processes of this machine."""

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
from cifar_exp.components.plugins import registry
from cifar_exp.components.plugins.plugin import Plugin
from cifar_exp.sweep.executors import Begun, Death, Message, fork_server
from cifar_exp.system import signals
from cifar_exp.training.hardware import prepare_process
from cifar_exp.training.messages import Group, Step
from cifar_exp.training.trainer import train_group

EXIT_TIMEOUT = 10  # seconds


class LocalExecutor:
    """Runs trainers as processes, which are started on demand and replaced when they die.

    Args:
        num_trainers: The largest number of groups that are trained at the same time.
        num_threads: CPU threads of each trainer.
        alarms: Connections that also end the wait for messages.
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
        """Start the fork server, which loads its modules in the background."""
        fork_server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End all trainers: busy ones are killed, idle ones exit by themselves."""
        for trainer in self._busy:
            trainer.kill()
        for trainer in self._idle:
            trainer.leave() if kind is None else trainer.kill()

    @property
    def num_free(self) -> int:
        """The number of groups that can start now."""
        return self._num_trainers - len(self._busy)

    def begin(self, group: Group) -> TrainerProcess:
        """Start a group on a free trainer; one that cannot be started reports its death."""
        trainer = self._idle_or_new()
        self._busy.append(trainer)
        trainer.begin(group)
        return trainer

    def messages(self, seconds: float | None) -> Iterator[tuple[TrainerProcess, Message]]:
        """Wait for messages for at most `seconds`, and yield those that have arrived."""
        by_connection = {trainer.connection: trainer for trainer in self._busy}
        for ready in wait([*by_connection, *self._alarms], seconds):
            trainer = by_connection.get(ready)  # type: ignore[call-overload]
            if trainer is not None:
                message = trainer.receive()
                self._update_pools(trainer, message)
                yield trainer, message

    def _idle_or_new(self) -> TrainerProcess:
        while self._idle:
            trainer = self._idle.pop()
            if trainer.is_alive:
                return trainer
        taken = {trainer.number for trainer in self._busy}
        number = next(number for number in range(self._num_trainers) if number not in taken)
        return TrainerProcess(self._num_threads, number)

    def _update_pools(self, trainer: TrainerProcess, message: Message) -> None:
        """Move a trainer out of the busy ones if it is free or dead."""
        match message:
            case Death():
                self._busy.remove(trainer)
            case Exception():
                self._release(trainer)
            case Step(epochs=epochs) if not epochs:
                self._release(trainer)

    def _release(self, trainer: TrainerProcess) -> None:
        self._busy.remove(trainer)
        self._idle.append(trainer)


class TrainerProcess:
    """One trainer process.

    Args:
        num_threads: Its CPU threads.
        number: Its number among the trainers that run at the same time, from 0.
    """

    def __init__(self, num_threads: int, number: int = 0) -> None:
        self.number = number
        context = fork_server.context()
        self.connection, child_connection = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(child_connection, dict(os.environ), num_threads, number, registry.loaded()),
        )
        with suppress(*fork_server.GONE):  # the server has died, so the process never ran
            fork_server.start_process(self._process)
        child_connection.close()  # only the child holds it now, so its death closes the pipe

    @property
    def is_alive(self) -> bool:
        """Whether the idle process can train another group."""
        return not self.connection.poll()  # an idle process sends nothing but the end of file

    def begin(self, group: Group) -> None:
        """Send a group to the process."""
        with suppress(OSError):  # the process is dead; `receive` reports it
            self.connection.send(group)

    def go_on(self, answers: Mapping[int, bool]) -> None:
        """Send which trainings continue."""
        with suppress(OSError):
            self.connection.send(answers)

    def receive(self) -> Message:
        """Return the next message of the process."""
        try:
            message: Message = self.connection.recv()
        except (EOFError, OSError):
            return self._death()
        return message

    def leave(self) -> None:
        """Let the idle process exit; kill it if it does not."""
        with suppress(OSError):  # it is already dead
            self.connection.send(None)
        self._process.join(EXIT_TIMEOUT)
        if self._process.exitcode is None:
            self.kill()

    def kill(self) -> None:
        """Kill the process."""
        if self._process.pid is not None:
            with suppress(ProcessLookupError):
                # Process.kill does nothing once the fork server is dead
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.join()

    def _death(self) -> Death:
        if self._process.pid is None:
            return Death("it could not be started")
        self._process.join()
        code = self._process.exitcode
        assert code is not None
        return Death(f"signal {-code}" if code < 0 else f"exit code {code}")


def _serve(
    connection: Connection,
    environment: Mapping[str, str],
    num_threads: int,
    number: int,
    plugins: Sequence[Plugin],
) -> None:
    """Train the groups that are received; runs in the trainer process."""
    os.environ.clear()  # the fork server may have an older environment
    os.environ.update(environment)
    signals.ignore()  # the parent handles them
    threading.Thread(target=_die_with_parent, daemon=True).start()
    prepare_process(num_threads, number)
    with suppress(EOFError, OSError):  # the parent has died
        try:
            registry.load(plugins)  # before a group, whose settings may be of their classes
        except Exception as error:
            connection.send(_picklable(error))
            return
        while (group := connection.recv()) is not None:
            _train(group, connection)


def _train(group: Group, connection: Connection) -> None:
    """Train a group; the parent decides after each step which trainings continue."""
    steps = None
    answers = None
    while True:
        try:
            if steps is None:
                steps = train_group(group, _dataset(group.data_path))
                connection.send(Begun())
            step = steps.send(answers)  # type: ignore[arg-type]  # None starts
        except Exception as error:
            connection.send(_picklable(error))
            return
        connection.send(step)
        if not step.epochs:
            return
        answers = connection.recv()


_dataset = lru_cache(maxsize=1)(open_dataset)


def _picklable(error: Exception) -> Exception:
    """Return an error that can be pickled."""
    error.add_note(traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error may need arguments that it does not store
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
