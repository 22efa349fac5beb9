"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN_LOOKS = 0.02
SHARE_OF_TIME = 0.2
"""To look takes at most this share of a core, which those that are waited for need."""


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look until a condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        started = time.monotonic()
        if condition():
            return
        now = time.monotonic()
        assert now < deadline, "it did not come to pass"
        time.sleep(max(SECONDS_BETWEEN_LOOKS, (now - started) * (1 / SHARE_OF_TIME - 1)))
