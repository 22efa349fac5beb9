from __future__ import annotations

import os
import signal
import warnings
from multiprocessing import resource_tracker
from typing import Any

import pytest

from cifar_exp.sweep.executors import fork_server

needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="there is no resource tracker"
)


@needs_signals
def test_a_killed_resource_tracker_is_started_again_without_a_warning() -> None:
    tracker: Any = resource_tracker._resource_tracker
    fork_server._start_resource_tracker()
    killed = tracker._pid
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fork_server._start_resource_tracker()
    assert tracker._check_alive()
    assert tracker._pid != killed
