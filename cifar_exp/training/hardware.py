"""How this process gets memory, and gives it back."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

# The names and numbers of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
ONE_MIB, ONE_GIB = 2**20, 2**30


def keep_freed_memory() -> None:
    """Keep freed memory for the next training step instead of giving it back to the system.

    glibc maps and unmaps every tensor of some megabytes anew, and the system clears each page
    again: at batch size 256 that is a tenth of the training time and more. Elsewhere than on
    glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Old versions of glibc refuse more than 32 MiB. With none accepted, and the other threshold
    # set, every tensor of 128 KiB would be mapped anew.
    if mallopt and any(mallopt(M_MMAP_THRESHOLD, size) for size in (ONE_GIB, 32 * ONE_MIB)):
        mallopt(M_TRIM_THRESHOLD, 2 * ONE_GIB - 1)


def prepare_process(num_threads: int) -> None:
    """Set this process up for training on so many threads."""
    keep_freed_memory()
    torch.set_num_threads(num_threads)


def available_cores() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def allotment(
    num_side_by_side: int, workers: int | None = None, threads: int | None = None
) -> tuple[int, int]:
    """Return how many trainers there are, and the threads of each, where one is not given.

    By default there is a trainer a core, at most one for each training that can run beside others,
    and the cores are shared out: side by side, trainings of one thread do more than one training
    of many. A GPU has one trainer.
    """
    cores = available_cores()
    if workers is None:
        workers = 1 if torch.cuda.is_available() else min(cores, num_side_by_side)
    return workers, threads or max(1, cores // workers)
