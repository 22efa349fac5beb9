"""Measure all figures of a GPU, one after another, within a time budget."""

from __future__ import annotations

import sys

from benchmarks.gpu import command, equality, evaluation, speed
from benchmarks.gpu.report import Report
from benchmarks.gpu.section import Section
from benchmarks.gpu.size import Size
from cifar_exp.system.cores import available_cores
from cifar_exp.training import hardware
from cifar_exp.training.hardware import prepare_process

NO_GPU = "There is no CUDA GPU here, so nothing is measured."


def main(size: Size | None = None, *, forced: bool = False) -> int:
    """Measure and print everything.

    Args:
        size: The size of the measurement; default: the full size.
        forced: Whether to measure also without a GPU, for a test.

    Returns:
        The exit code: 1 if a ratio breaks its bound or a section fails, else 0.
    """
    if hardware.device().type != "cuda" and not forced:
        print(NO_GPU)
        return 0
    prepare_process(available_cores())
    size = size or Size()
    report = Report(size.budget)
    for section in sections(size):
        report.add(section)
    return report.show()


def sections(size: Size) -> list[Section]:
    """Return all sections in the order of measurement; the longest one is last."""
    return [
        *speed.sections(size),
        *evaluation.sections(size),
        *equality.sections(size),
        *speed.sections_of_widths(size),
        *command.sections(size),
    ]


if __name__ == "__main__":
    sys.exit(main())
