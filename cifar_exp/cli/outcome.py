"""How a command ends: runs that are not delivered, combinations without a result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cifar_exp.system.formatting import listed

if TYPE_CHECKING:
    from cifar_exp.comparison import Ranking

INCOMPLETE = 1
"""Exit code of a command that is done but lacks a result."""


def print_undelivered(tracking_uri: str) -> None:
    """Print to stderr how many runs are not on the tracking server yet."""
    from cifar_exp import tracking
    from cifar_exp.cli.deliver import undelivered

    if num_runs := tracking.undelivered(tracking_uri):
        print(undelivered(num_runs, tracking_uri), file=sys.stderr)


def exit_if_incomplete(ranking: Ranking) -> None:
    """Exit with code 1 where a combination has no result, and name it on stderr."""
    if not ranking.complete:
        without = [row.combination for row in ranking.combinations if row.rank is None]
        print(f"no result for {listed(without)}", file=sys.stderr)
        sys.exit(INCOMPLETE)
