"""The largest memory that a process uses while it trains."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from cifar_exp.training import hardware
from cifar_exp.training.hardware import release_freed_memory

CLEAR_REFS = Path("/proc/self/clear_refs")  # see proc(5)
RESET_PEAK = "5"
STATUS = Path("/proc/self/status")
KIB, MIB = 2**10, 2**20


class PeakMemory:
    """Measures the largest memory of this process from the creation of this object on.

    It is the resident memory, including libraries and the part of the data set that is in memory,
    and on a GPU the memory of tensors. A process trains one group at a time, so what is measured is
    the group's.
    """

    def __init__(self) -> None:
        release_freed_memory()  # else the memory of earlier trainings would count
        self._resets = _reset()
        if hardware.device().type == "cuda":
            torch.cuda.reset_peak_memory_stats()

    def metrics(self) -> dict[str, float]:
        """Return the peaks in MiB so far, by the names under which they are logged.

        `peak_memory` is missing where the system cannot forget an earlier peak: outside of Linux.
        """
        peaks = {}
        if self._resets and (peak := _peak()):
            peaks["peak_memory"] = peak
        if hardware.device().type == "cuda":
            peaks["peak_gpu_memory"] = round(torch.cuda.max_memory_allocated() / MIB, 1)
        return peaks


def _reset() -> bool:
    """Let the system forget the peak of this process; return whether it can."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def _peak() -> float | None:
    """Return the peak of the resident memory in MiB; None if the system does not tell."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    return round(int(found[1]) * KIB / MIB, 1) if found else None
