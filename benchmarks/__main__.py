"""All benchmarks, one after another, in one table."""

import sys

from benchmarks import overhead, startup, throughput
from benchmarks.figure import show

if __name__ == "__main__":
    sys.exit(show([*throughput.measure(), *overhead.measure(), *startup.measure()]))
