"""Fault injection: points at which a test can send a signal to a process.

The variable CIFAR_EXP_FAULTS is a JSON list of faults, such as
`[{"point": "after_epoch", "where": {"training": "mse+sgd #1", "epoch": 2}, "signal": "SIGKILL",
"to": "self", "marks": "/tmp/marks", "times": 1}]`. `to` is self, parent or group; `marks` is a
file that grows by one byte per signal; `times` is the largest number of signals. Without the
variable, a point does nothing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

FAULTS: Sequence[Mapping[str, Any]] = json.loads(os.environ.get("CIFAR_EXP_FAULTS", "[]"))


def point(name: str, **where: str | int) -> None:
    """Pass a named fault point; faults are selected by its name and the values in `where`."""
    for fault in FAULTS:
        if fault["point"] == name and fault["where"].items() <= where.items():
            _inject(fault)


def _inject(fault: Mapping[str, Any]) -> None:
    with Path(fault["marks"]).open("ab") as marks:
        if marks.tell() >= fault["times"]:
            return
        marks.write(b"x")
    _SEND[fault["to"]](getattr(signal, fault["signal"]))


def _to_parent(number: int) -> None:
    parent = multiprocessing.parent_process()
    os.kill(os.getpid() if parent is None or parent.pid is None else parent.pid, number)


_SEND: Mapping[str, Callable[[int], None]] = {
    "self": lambda number: os.kill(os.getpid(), number),
    "parent": _to_parent,
    "group": lambda number: os.killpg(0, number),
}
