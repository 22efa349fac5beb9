"""Who runs the units of work: this process, or a pool of others."""

from __future__ import annotations

import itertools
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path

from cifar_exp.errors import Unavailable
from cifar_exp.sweep.executors import fork_server
from cifar_exp.sweep.executors.worker import Unit, Worker
from cifar_exp.training.death import MOST_ATTEMPTS, Death
from cifar_exp.training.events import Event, Watch
from cifar_exp.training.hardware import prepare_process

Submit = Callable[[Unit], "Future[bool]"]

ENDED = "the sweep was ended"  # whoever has ended it does not ask any more


class WorkerError(Unavailable):
    """Worker processes cannot be had, or do not last."""


@contextmanager
def pool(
    num_workers: int, num_threads: int, watch: Watch, time_limit: float | None = None
) -> Iterator[Submit]:
    """Give the function that submits units; one worker is this process, more are others.

    Args:
        num_workers: Units that run side by side.
        num_threads: Threads of each of them.
        watch: Called in this process with what the units tell, by one thread at a time.
        time_limit: Seconds that a training may take. With a limit, a single worker is
            another process, too: a training that hangs costs its process.
    """
    if num_workers == 1 and time_limit is None:
        prepare_process(num_threads)
        yield lambda unit: _run_here(unit, watch)
        return
    with tempfile.TemporaryDirectory(prefix="cifar_exp-") as folder:
        workers = Workers(num_workers, num_threads, watch, time_limit, Path(folder))
        try:
            yield workers.submit
        except BaseException:
            workers.kill()
            raise
        finally:
            workers.leave()


class Workers:
    """Processes, each started when a unit needs it and replaced where it dies.

    A thread of this process attends to each of them, so that the death of one touches none but
    its own unit, which then goes on in another.
    """

    def __init__(
        self,
        num_workers: int,
        num_threads: int,
        watch: Watch,
        time_limit: float | None,
        folder: Path,
    ) -> None:
        self._threads = ThreadPoolExecutor(num_workers, initializer=_leave_signals_to_main_thread)
        self._lock = threading.Lock()
        self._begun = self._closing = False
        self._idle: list[Worker] = []
        self._busy: list[Worker] = []
        numbers = itertools.count()  # several threads take from it at once
        self._start: Callable[[], Worker] = lambda: Worker(
            num_threads, time_limit, folder / str(next(numbers))
        )
        self._watch = _one_at_a_time(watch)

    def submit(self, unit: Unit) -> Future[bool]:
        """Let a worker do a unit, as soon as one is free.

        The first call takes seconds, in which Ctrl-C can interrupt the main thread and no other.
        """
        if not self._begun:
            self._begun = True
            fork_server.load()
        return self._threads.submit(self._attend, unit)

    def kill(self) -> None:
        """End all workers where they are."""
        with self._lock:
            self._closing = True
            alive = [worker for worker in self._idle if worker.is_alive]
            for worker in (*alive, *self._busy):
                worker.kill()

    def leave(self) -> None:
        """Wait for the end of all units, and let the workers end."""
        self._threads.shutdown(cancel_futures=True)
        for worker in self._idle:
            worker.leave()

    def _attend(self, unit: Unit) -> bool:
        """Have a unit done, by another worker where one dies at it; return what it returns."""
        in_vain = 0
        while True:
            heard = _Heard(self._watch)
            match self._do(unit, heard):
                case Death() as death:
                    under_way = unit.died(death, self._watch)
                    in_vain = 0 if under_way or heard.has_trained else in_vain + 1
                case done:
                    return done
            if in_vain == MOST_ATTEMPTS:
                raise WorkerError(
                    f"worker processes end before they can train ({death.reason}); "
                    "is there enough memory? --workers 1 needs less"
                )

    def _do(self, unit: Unit, watch: Watch) -> bool | Death:
        """Have a unit done by one worker; return what it returns, or how the worker has died."""
        try:
            worker = self._take()
        except fork_server.GONE:
            return Death("it could not be started")
        try:
            result = worker.work(unit, watch)
        finally:
            self._give_back(worker)
        if self._closing:
            raise WorkerError(ENDED)
        return result

    def _take(self) -> Worker:
        with self._lock:
            if self._closing:
                raise WorkerError(ENDED)
            idle = self._idle.pop() if self._idle else None
        worker = idle or self._start()  # without the lock, as it may take long
        with self._lock:
            self._busy.append(worker)
            if self._closing:
                worker.kill()
        return worker

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            self._busy.remove(worker)
            if worker.is_alive:
                self._idle.append(worker)


class _Heard:
    """Passes on what a worker tells, and notes whether it has trained: to begin is not enough."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.has_trained = False

    def __call__(self, event: Event) -> None:
        self.has_trained |= event.epoch > 0 or event.state is not None
        self._watch(event)


def _run_here(unit: Unit, watch: Watch) -> Future[bool]:
    future: Future[bool] = Future()
    future.set_result(unit.run(watch))
    return future


def _one_at_a_time(watch: Watch) -> Watch:
    lock = threading.Lock()

    def told(event: Event) -> None:
        with lock:
            watch(event)

    return told


def _leave_signals_to_main_thread() -> None:
    """Let no signal of the user reach this thread, nor the processes that it starts.

    A process inherits the mask: so Ctrl-C does not reach a worker that is still starting up.
    """
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        resource_tracker.ensure_running()  # which would undo the mask
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
