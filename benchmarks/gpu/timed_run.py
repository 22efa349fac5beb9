"""Run the command line and record when trainers train: timed_run FILE ARGUMENTS..."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

Span = tuple[float, float]


@dataclass(slots=True)
class Times:
    """When a sweep and its trainers were running, by the monotonic clock of this machine."""

    sweep: list[Span] = field(default_factory=list)
    """From the start of the first training until all records are written."""
    training: list[Span] = field(default_factory=list)
    """From the request to train a group, or its next epoch, until its results arrive."""
    _since: dict[int, float] = field(default_factory=dict)

    def begin(self, trainer: Any) -> None:
        """Record that a trainer was requested to train."""
        self._since[id(trainer)] = time.monotonic()

    def end(self, trainer: Any) -> None:
        """Record that the results of a trainer have arrived."""
        self.training.append((self._since.pop(id(trainer)), time.monotonic()))

    def write(self, path: Path) -> None:
        """Write all spans as JSON."""
        path.write_text(json.dumps({"sweep": self.sweep, "training": self.training}))


@contextmanager
def recorded(times: Times) -> Iterator[None]:
    """Record the times of a sweep that runs in this context."""
    from cifar_exp.sweep.executors import Begun  # noqa: PLC0415 - child processes import this too
    from cifar_exp.sweep.executors.local import TrainerProcess  # noqa: PLC0415
    from cifar_exp.sweep.recording.recorder import Recorder  # noqa: PLC0415

    receive, run = TrainerProcess.receive, Recorder.run

    def timed_receive(trainer: TrainerProcess) -> Any:
        message = receive(trainer)
        if not isinstance(message, Begun):
            times.end(trainer)
        return message

    def timed_run(recorder: Recorder) -> None:
        started = time.monotonic()
        run(recorder)
        times.sweep.append((started, time.monotonic()))

    with ExitStack() as stack:
        for name in ("begin", "go_on"):
            timed = _timed(getattr(TrainerProcess, name), times)
            stack.enter_context(patch.object(TrainerProcess, name, timed))
        stack.enter_context(patch.object(TrainerProcess, "receive", timed_receive))
        stack.enter_context(patch.object(Recorder, "run", timed_run))
        yield


def _timed(method: Callable[[Any, Any], None], times: Times) -> Callable[[Any, Any], None]:
    def timed(trainer: Any, content: Any) -> None:
        times.begin(trainer)
        method(trainer, content)

    return timed


def main(file: Path, arguments: list[str]) -> None:
    """Run the command line with these arguments; write the times to a file."""
    from cifar_exp.cli import main as command  # noqa: PLC0415

    sys.argv = ["cifar-exp", *arguments]
    times = Times()
    try:
        with recorded(times):
            command()
    finally:
        times.write(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
