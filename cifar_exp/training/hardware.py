"""Cores, threads, device and memory allocation of a training process."""

from __future__ import annotations

import ctypes
import sys

import torch

from cifar_exp.components.datasets import Split
from cifar_exp.components.precision import Precision
from cifar_exp.system.cores import available_cores

# Constants of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
ONE_MIB, ONE_GIB = 2**20, 2**30


def keep_freed_memory() -> None:
    """Keep freed memory for the next training step instead of returning it to the system.

    By default glibc maps and unmaps every tensor of some megabytes, and the system clears each page
    again: at batch size 256 this takes a tenth of the training time or more. Without glibc this
    function does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Old versions of glibc reject more than 32 MiB. If none were accepted and the other threshold
    # were set, every tensor of 128 KiB would be mapped again.
    if mallopt and any(mallopt(M_MMAP_THRESHOLD, size) for size in (ONE_GIB, 32 * ONE_MIB)):
        mallopt(M_TRIM_THRESHOLD, 2 * ONE_GIB - 1)


def release_freed_memory() -> None:
    """Return the memory kept by `keep_freed_memory` to the system; without glibc do nothing."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def prepare_process(num_threads: int, number: int = 0) -> None:
    """Set up this process for training.

    Args:
        num_threads: Its CPU threads.
        number: Its number among the processes that train; they take turns on the GPUs.
    """
    keep_freed_memory()
    torch.set_num_threads(num_threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
        torch.backends.cudnn.benchmark = True  # choose the fastest kernel of each convolution


def allotment(
    num_side_by_side: int, workers: int | None = None, threads: int | None = None
) -> tuple[int, int]:
    """Return the number of workers and the threads of each; given numbers are kept.

    The default is one worker per core, but not more than trainings that can run in parallel, and
    the cores are divided among the workers: parallel trainings with one thread each are faster than
    one training with many threads. With GPUs there is one worker for each of them.
    """
    cores = available_cores()
    if workers is None:
        devices = torch.cuda.device_count() if torch.cuda.is_available() else cores
        workers = min(devices, num_side_by_side)
    return workers, threads or max(1, cores // workers)


def device() -> torch.device:
    """Return the device used for training: a CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(split: Split) -> Split:
    """Return a split with its tensors on the training device; on a CPU nothing is copied."""
    return Split(images=split.images.to(device()), labels=split.labels.to(device()))


def autocast(precision: Precision) -> torch.autocast:
    """Return the context in which a network computes with a precision."""
    return torch.autocast(device().type, torch.bfloat16, enabled=precision == "bf16")
