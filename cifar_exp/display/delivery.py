"""What is said about runs that are not on the tracking server yet."""

from __future__ import annotations

import sys

from cifar_exp.system.formatting import counted
from cifar_exp.system.urls import without_credentials


def print_undelivered(tracking_uri: str) -> None:
    """Print to stderr how many runs are not on the tracking server yet."""
    from cifar_exp import tracking

    if num_runs := tracking.undelivered(tracking_uri):
        print(undelivered(num_runs, tracking_uri), file=sys.stderr)


def undelivered(num_runs: int, uri: str) -> str:
    """Return the message that runs are not delivered, with the command that sends them."""
    runs = f"{counted(num_runs, 'run')} {'is' if num_runs == 1 else 'are'}"
    sends = "it" if num_runs == 1 else "them"
    return f"{runs} not delivered to {without_credentials(uri)}: `cifar-exp deliver` sends {sends}"
