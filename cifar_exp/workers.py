"""Who runs the units of work: this process, or a pool of spawned ones."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import torch

from cifar_exp.event import Event, Watch
from cifar_exp.memory import keep_freed_memory

Unit = Callable[..., bool]
"""A unit of work: its last argument is the `Watch` that it tells its progress.

It returns whether it is done: another process may be at it."""
Submit = Callable[..., "Future[bool]"]

_tell_parent: Watch


def available_cores() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allotment(
    num_combinations: int, workers: int | None = None, threads: int | None = None
) -> tuple[int, int]:
    """Return how many workers there are, and the threads of each, where one is not given.

    By default there is a worker a core, at most one a combination, and the cores are shared out:
    side by side, trainings of one thread do more than one training of many. A GPU has one worker.
    """
    cores = available_cores()
    if workers is None:
        workers = 1 if torch.cuda.is_available() else min(cores, num_combinations)
    return workers, threads or max(1, cores // workers)


def prepare_process(num_threads: int) -> None:
    """Set this process up for training on so many threads."""
    keep_freed_memory()
    torch.set_num_threads(num_threads)


@contextmanager
def pool(num_workers: int, num_threads: int, watch: Watch) -> Iterator[Submit]:
    """Give the function that submits units; one worker is this process, more are spawned ones.

    Args:
        num_workers: Units that run side by side.
        num_threads: Threads of each of them.
        watch: Called in this process with what the units tell.
    """
    if num_workers == 1:
        prepare_process(num_threads)
        yield lambda unit, *arguments: _run_here(unit, *arguments, watch)
        return
    context = multiprocessing.get_context("spawn")
    events = context.Queue()
    listener = threading.Thread(target=_listen, args=(events, watch), daemon=True)
    listener.start()
    executor = ProcessPoolExecutor(
        num_workers, context, initializer=_start_worker, initargs=(events, num_threads)
    )
    try:
        yield lambda unit, *arguments: executor.submit(_run_in_worker, unit, *arguments)
    except BaseException:
        _kill_workers()
        executor.shutdown(cancel_futures=True)
        raise  # the listener is a daemon: a killed worker may have left its queue locked
    executor.shutdown()
    events.put(None)
    listener.join()


def _run_here(unit: Unit, *arguments: Any) -> Future[bool]:
    future: Future[bool] = Future()
    future.set_result(unit(*arguments))
    return future


def _run_in_worker(unit: Unit, *arguments: Any) -> bool:
    return unit(*arguments, _tell_parent)


def _start_worker(events: Any, num_threads: int) -> None:
    global _tell_parent  # noqa: PLW0603 - a worker has one parent
    _tell_parent = events.put
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which decides
    threading.Thread(target=_die_with_parent, daemon=True).start()
    prepare_process(num_threads)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _kill_workers() -> None:
    """End the workers where they are; what they had not finished is taken up another time."""
    for worker in multiprocessing.active_children():
        worker.terminate()
        worker.join()


def _listen(events: Any, watch: Callable[[Event], None]) -> None:
    while (event := events.get()) is not None:
        watch(event)
