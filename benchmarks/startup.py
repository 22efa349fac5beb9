"""Measure the start of the command line: processor time of whole processes, in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure, show

COMMAND = str(Path(sysconfig.get_path("scripts")) / "cifar-exp")
BOUND = 0.35
BAD_DEFINITION = 'name = "bad"\nmodel = "no_such_network"\n'
BAD_INPUT = 2


def measure(runs: int = 10) -> list[Figure]:
    """Measure the help and the rejection of a wrong definition; Python alone is the lower limit."""
    with tempfile.TemporaryDirectory() as folder:
        bad = Path(folder) / "bad.toml"
        bad.write_text(BAD_DEFINITION, encoding="utf-8")
        return [
            _figure("cifar-exp --help", [COMMAND, "--help"], 0, runs, BOUND),
            _figure("cifar-exp run BAD.toml", [COMMAND, "run", str(bad)], BAD_INPUT, runs, BOUND),
            _figure("python -c pass", [sys.executable, "-c", "pass"], 0, runs, None),
        ]


def _figure(name: str, command: list[str], expected: int, runs: int, bound: float | None) -> Figure:
    cpu_seconds(command, expected)  # warm-up: bytecode and file caches
    seconds = [cpu_seconds(command, expected) for _ in range(runs)]
    detail = f"median of {runs}, {min(seconds):.2f} to {max(seconds):.2f}"
    return Figure(name=name, value=median(seconds), unit="CPU s", at_most=bound, detail=detail)


def cpu_seconds(command: list[str], expected: int) -> float:
    """Run a command to its end; return its processor time, user and system.

    Raises:
        RuntimeError: Its exit code is not `expected`.
    """
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=silent, stderr=silent)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expected:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(show(measure()))
