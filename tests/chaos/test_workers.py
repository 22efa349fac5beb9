from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cifar_exp.errors import Unavailable
from cifar_exp.sweep.executors import fork_server
from cifar_exp.sweep.executors.pool import WorkerError, pool
from cifar_exp.training import time_limit
from cifar_exp.training.death import Death
from cifar_exp.training.events import Event, Watch
from tests.chaos.bench import fork_servers_of
from tests.chaos.template import ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos  # the first worker takes seconds to start


def event(name: str, number: int, epoch: int = 0) -> Event:
    return Event(combination=name, kind="trial", number=number, epoch=epoch, epochs=1)


@dataclass(frozen=True)
class Step:
    """Does one thing at its first `times` attempts, and leaves a line for each attempt."""

    name: str
    folder: Path
    misfortune: Callable[[], object] = int
    times: int = 1
    training: bool = True
    """Whether a training counts as being under way when its process dies."""
    epoch: int = 0
    """The epoch that it tells of."""

    def run(self, watch: Watch) -> bool:
        before = self.lines("attempts")
        self.write("attempts", str(os.getpid()))
        watch(event(self.name, len(before), self.epoch))
        if len(before) < self.times:
            self.misfortune()
        return True

    def died(self, death: Death, watch: Watch) -> bool:
        self.write("deaths", f"{death.reason} {death.final}")
        watch(event(self.name, -1))
        return self.training

    def write(self, what: str, line: str) -> None:
        with (self.folder / f"{self.name}.{what}").open("a") as file:
            file.write(f"{line}\n")

    def lines(self, what: str) -> list[str]:
        path = self.folder / f"{self.name}.{what}"
        return path.read_text().splitlines() if path.exists() else []


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ended() -> None:
    os._exit(7)


def broken() -> None:
    raise Unavailable("the store is away")


class UnreadableError(Exception):
    """An error that cannot be read from its own pickle."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def broken_unreadably() -> None:
    raise UnreadableError(1, 2)


def hanging_in_c() -> None:
    with time_limit.Clock().running():
        pow(7, 10**9)  # hours in one call that never gives Python's lock back


def asleep() -> None:
    time.sleep(3600)


@dataclass(frozen=True)
class Awaits:
    """Sleeps until a file is there."""

    file: Path

    def __call__(self) -> None:
        wait_until(self.file.exists)


needs_a_fork_server = pytest.mark.skipif(
    fork_server.METHOD != "forkserver", reason="workers are not forked here"
)


@pytest.mark.chaos_short
def test_the_death_of_a_worker_costs_its_own_unit_one_attempt(tmp_path: Path) -> None:
    told: list[Event] = []
    a, b, c = Step("a", tmp_path, killed), Step("b", tmp_path), Step("c", tmp_path, ended, 2)
    d = Step("d", tmp_path, killed, 4, training=False, epoch=1)  # it gets on each time
    with pool(2, 1, told.append) as submit:
        for future in [submit(unit) for unit in (a, b, c, d)]:
            future.result()
    assert [len(unit.lines("attempts")) for unit in (a, b, c, d)] == [2, 1, 3, 5]
    assert len(set(a.lines("attempts"))) == 2
    assert a.lines("deaths") == ["signal 9 False"]
    assert b.lines("deaths") == []
    assert c.lines("deaths") == ["exit code 7 False"] * 2
    of_c = [e.number for e in told if e.combination == "c"]
    assert of_c == [0, -1, 1, -1, 2]


def test_workers_that_never_come_to_train_end_the_sweep(tmp_path: Path) -> None:
    unit = Step("a", tmp_path, killed, times=99, training=False)
    with pytest.raises(WorkerError, match=r"signal 9"), pool(2, 1, lambda _: None) as submit:
        submit(unit).result()
    assert len(unit.lines("attempts")) == 3


@pytest.mark.parametrize(
    ("misfortune", "kind", "message"),
    [
        (broken, Unavailable, "the store is away"),
        (broken_unreadably, RuntimeError, "UnreadableError: 1 and 2"),
    ],
)
def test_what_a_unit_raises_reaches_the_sweep(
    tmp_path: Path, misfortune: Callable[[], None], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message), pool(2, 1, lambda _: None) as submit:
        submit(Step("a", tmp_path, misfortune)).result()


def test_a_hang_that_holds_pythons_lock_is_ended_by_the_limit(tmp_path: Path) -> None:
    unit = Step("a", tmp_path, hanging_in_c)
    with pool(1, 1, lambda _: None, time_limit=0.5) as submit:
        submit(unit).result()
    assert unit.lines("deaths") == ["took longer than the limit of 0.5 s True"]
    assert len(unit.lines("attempts")) == 2


def test_an_interruption_ends_the_workers_where_they_are(tmp_path: Path) -> None:
    busy = threading.Event()
    units = [Step("a", tmp_path, asleep), Step("b", tmp_path, asleep)]
    begun: set[str] = set()

    def watch(event: Event) -> None:
        begun.add(event.combination)
        if len(begun) == 2:
            busy.set()

    def interrupted() -> None:
        with pool(2, 1, watch) as submit:
            for unit in units:
                submit(unit)
            assert busy.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for unit in units:
        assert unit.lines("deaths") == []  # it is no crash
        with pytest.raises(ProcessLookupError):
            os.kill(int(unit.lines("attempts")[0]), 0)


def test_what_is_loaded_before_a_fork_survives_it() -> None:
    """The fork server has no thread of Python's, and has not asked for a GPU.

    It has looked through the installed packages, so that no worker does: MLflow would warn here.
    """
    program = """
import importlib_metadata, threading, torch
asked = []
torch._C._cuda_getDeviceCount = torch.cuda.device_count = lambda: asked.append("a GPU") or 0
import cifar_exp.sweep.preload
assert threading.active_count() == 1, threading.enumerate()
assert not asked and not torch.cuda.is_initialized()
importlib_metadata.packages_distributions = None
cifar_exp.tracking.preload.warn_dependency_requirement_mismatches(["torch"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_a_fork_server
def test_the_death_of_the_fork_server_costs_no_unit(tmp_path: Path) -> None:
    units = [Step(name, tmp_path, Awaits(tmp_path / "enough")) for name in ("a", "b")]
    later = Step("c", tmp_path, killed, 2)  # both workers, so that another one is needed
    with pool(2, 1, lambda _: None) as submit:
        working = [submit(unit) for unit in units]
        wait_until(lambda: all(unit.lines("attempts") for unit in units))
        server = fork_servers_of(os.getpid())[0]
        os.kill(server, signal.SIGKILL)
        (tmp_path / "enough").touch()
        assert all(future.result() for future in working)
        assert submit(later).result()
    assert [len(unit.lines("attempts")) for unit in (*units, later)] == [1, 1, 3]
    assert fork_servers_of(os.getpid())[0] != server


@needs_a_fork_server
def test_workers_without_a_fork_server_can_be_ended(tmp_path: Path) -> None:
    units = [Step(name, tmp_path, asleep) for name in ("a", "b")]

    def interrupted() -> None:
        with pool(2, 1, lambda _: None) as submit:
            for unit in units:
                submit(unit)
            wait_until(lambda: all(unit.lines("attempts") for unit in units))
            os.kill(fork_servers_of(os.getpid())[0], signal.SIGKILL)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    pids = [int(unit.lines("attempts")[0]) for unit in units]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10)


@needs_a_fork_server
def test_the_fork_server_loads_nothing_from_the_current_folder(tmp_path: Path) -> None:
    for name in ("mlflow", "optuna", "torch", "cifar_exp"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w')")
    program = """
from cifar_exp.sweep.executors import fork_server
fork_server.load()
first = fork_server.context().Process(target=print, args=("here",))
first.start()
first.join()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "here\n", "")
    assert not (tmp_path / "canary").exists()


@pytest.mark.chaos_short
def test_a_single_worker_without_a_limit_is_this_process(tmp_path: Path) -> None:
    unit = Step("a", tmp_path)
    with pool(1, 1, lambda _: None) as submit:
        submit(unit).result()
    assert unit.lines("attempts") == [str(os.getpid())]
