"""A tracking server of MLflow on this machine, for one benchmark."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS_TO_START = 120
SECONDS_TO_STOP = 10


class Server:
    """An `mlflow server` with one worker on 127.0.0.1; database and artifacts are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, always at the same address, and wait until it answers.

        Raises:
            RuntimeError: It ended before it answered, or did not answer in two minutes.
        """
        with (self.folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                _command(self.folder, self.port),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,  # its worker is in its process group, and ends with it
            )
        _wait_until_healthy(self._process, self.uri, self.folder / "server.log")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and its worker."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def stop(self) -> None:
        """End the server's process group, with SIGTERM first and with SIGKILL if necessary."""
        if self._process is None:
            return
        for ending in (signal.SIGTERM, signal.SIGKILL):
            self.signal(ending)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_STOP)
        self._process.wait()


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """Yield the address of a server, which is always stopped at the end.

    Raises:
        RuntimeError: It ended before it answered, or did not answer in two minutes.
    """
    server = Server(folder)
    try:
        server.start()
        yield server.uri
    finally:
        server.stop()


def _command(folder: Path, port: int) -> list[str]:
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination": str(folder / "artifacts"),
    }
    flags = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "mlflow", "server", *flags]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_healthy(server: subprocess.Popen[bytes], uri: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"mlflow server ended at once: {log.read_text()[-500:]}")
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"mlflow server did not answer: {log.read_text()[-500:]}")
