"""Run all benchmarks, one after another, and print one table."""

import sys

from benchmarks import (
    augmentation,
    comparison,
    estimate,
    memory,
    overhead,
    recording,
    startup,
    throughput,
)
from benchmarks.figure import show

FIGURES = (throughput, estimate, augmentation, overhead, recording, comparison, memory, startup)

if __name__ == "__main__":
    sys.exit(show([figure for benchmark in FIGURES for figure in benchmark.measure()]))
