"""Waiting for other processes."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN_LOOKS = 0.02
SHARE_OF_TIME = 0.2
"""The largest share of a core for checking, as the other processes need the cores."""


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition is true; fail if it is not within this number of seconds."""
    deadline = time.monotonic() + seconds
    while True:
        started = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        assert now < deadline, "the condition was not met in time"
        time.sleep(max(SECONDS_BETWEEN_LOOKS, (now - started) * (1 / SHARE_OF_TIME - 1)))
