"""Processes of CLI commands that start fast, and the process they are forked from.

A chaos test starts a sweep up to ten times. Importing torch, MLflow and other packages each time
would take much longer than the trainings. So one process per test session, `python -m
tests.chaos.program`, imports them and forks a process for each command. Such a process has its own
environment, streams, session and signal handlers, like one started by a shell. A second forked
process becomes the fork server of its workers.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing import util
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from cifar_exp.sweep.executors import fork_server
from cifar_exp.system import fault_injection, signals

ROOT = Path(__file__).parents[2]
NUMBER = struct.Struct("q")
MOST_BYTES = 2**20  # the largest size of a command with its environment
HIGH = 100  # above the numbers of all open files
LOADED = [
    "cifar_exp.sweep.sweep",
    "cifar_exp.tracking.preload",
    "cifar_exp.display.progress",
    "cifar_exp.cli.compare",
    "cifar_exp.cli.deliver",
]


class Program:
    """A command of the CLI in a separate process.

    Args:
        words: The command.
        cwd: Its working directory.
        environment: Variables in addition to those of this process.
        output: A file descriptor for its standard output and error; by default they are stored.
        most_bytes: The largest size of a file that it or its workers write; None for no limit.
    """

    def __init__(
        self,
        *words: str,
        cwd: Path,
        environment: Mapping[str, str],
        output: int | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self.returncode: int | None = None
        self._kept = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115 - read at the end
        streams = [file.fileno() for file in self._kept] if output is None else [output] * 2
        self._status, theirs = os.pipe()
        request = {
            "words": words,
            "cwd": str(cwd),
            "environment": {**os.environ, **environment},
            "most_bytes": most_bytes,
        }
        socket.send_fds(template(), [json.dumps(request).encode()], [*streams, theirs])
        os.close(theirs)
        self.pid = self._read()

    def poll(self) -> int | None:
        """Return the exit code, or minus the signal number, if the process has ended."""
        if self.returncode is None and wait([self._status], 0):
            self.returncode = self._read()
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for the end; raise TimeoutExpired if it takes too long."""
        if self.returncode is None:
            wait([self._status], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("cifar-exp", timeout)
        return code

    def communicate(self, timeout: float = 240) -> tuple[str, str]:
        """Wait for the end; return standard output and standard error."""
        self.wait(timeout)
        out, err = map(_content, self._kept)
        return out, err

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read(self) -> int:
        return int(NUMBER.unpack(os.read(self._status, NUMBER.size))[0])


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@functools.cache
def template() -> socket.socket:
    """Start the process that all commands are forked from; it ends with this process."""
    ours, theirs = socket.socketpair()
    subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.program", str(theirs.fileno())],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[theirs.fileno()],
        cwd=ROOT,
        start_new_session=True,  # after Ctrl-C in a terminal the tests end their processes
    )
    theirs.close()
    return ours


def serve(descriptor: int) -> None:
    """Fork a process for each requested command; return only in those processes."""
    for name in [fork_server.LOADED, *LOADED]:
        import_module(name)
    gc.freeze()  # else the garbage collection at the end of each process would copy the pages
    requests = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that ended children are reaped
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, MOST_BYTES, 3)
        if not request:
            sys.exit()
        if not os.fork():
            requests.close()
            _keep(json.loads(request), *descriptors)
            return
        for each in descriptors:
            os.close(each)


def _keep(request: Mapping[str, Any], out: int, err: int, status: int) -> None:
    """Fork the command's process, send its process id, wait for its end and send its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if not pid:
        os.close(status)
        _become(out, err, **request)
        return
    for each in (out, err):
        os.close(each)
    os.write(status, NUMBER.pack(pid))
    _, ended = os.waitpid(pid, 0)
    os.write(status, NUMBER.pack(os.waitstatus_to_exitcode(ended)))
    os._exit(0)


def _become(
    out: int,
    err: int,
    words: list[str],
    cwd: str,
    environment: dict[str, str],
    most_bytes: int | None,
) -> None:
    """Set up this process like one started by a shell."""
    os.setsid()
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        os.close(source)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["cifar-exp", *words]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    fault_injection.FAULTS = json.loads(environment.get("CIFAR_EXP_FAULTS", "[]"))
    Spare()


class Spare:
    """A forked process that replaces a new Python process: the fork server, if it is needed."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            self._requests.close()
            _run_once(theirs)
        theirs.close()
        self._spawn, util.spawnv_passfds = util.spawnv_passfds, self  # type: ignore[assignment]

    def __call__(self, path: bytes, args: Sequence[str], descriptors: Sequence[int]) -> int:
        """Replace `multiprocessing.util.spawnv_passfds`, once, for a fork server."""
        if "forkserver" not in args[-1]:
            return int(self._spawn(path, args, descriptors))
        util.spawnv_passfds = self._spawn
        request = json.dumps([args[-1], descriptors]).encode()
        socket.send_fds(self._requests, [request], descriptors)
        return self._pid


def _run_once(requests: socket.socket) -> None:
    """Run the program that is received, with its files; without one, end with the command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.ENDING)  # as in a new fork server
    request, descriptors, _, _ = socket.recv_fds(requests, MOST_BYTES, 9)
    if request:
        program, numbers = json.loads(request)
        away = [fcntl.fcntl(each, fcntl.F_DUPFD, HIGH) for each in descriptors]
        for each in descriptors:
            os.close(each)
        for source, target in zip(away, numbers, strict=True):
            os.dup2(source, target)
            os.close(source)
        with suppress(SystemExit):
            exec(program, {})
    os._exit(0)
