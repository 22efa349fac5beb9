"""How this process gets memory, and gives it back."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def collecting_later() -> Iterator[None]:
    """Look for garbage again when the block has ended.

    SQLAlchemy makes fifty objects a run, and each time their number has grown by some share
    Python looks through all of them in vain: half of the time that a thousand runs take to read.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
