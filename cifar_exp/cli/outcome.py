"""How a command ends: combinations without a result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cifar_exp.system.formatting import listed

if TYPE_CHECKING:
    from cifar_exp.comparison import Ranking

INCOMPLETE = 1
"""Exit code of a command that is done but lacks a result."""


def exit_if_incomplete(ranking: Ranking) -> None:
    """Exit with code 1 where a combination has no result, and name it on stderr."""
    if not ranking.complete:
        without = [row.combination for row in ranking.combinations if row.rank is None]
        print(f"no result for {listed(without)}", file=sys.stderr)
        sys.exit(INCOMPLETE)
