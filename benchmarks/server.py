"""A tracking server of its own: MLflow's, on this machine, for as long as a benchmark needs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_TO_START = 120
SECONDS_TO_STOP = 10


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """Run `mlflow server` with one worker on 127.0.0.1, its database and artifacts in `folder`.

    Gives the server's address. Whatever happens, the server and its worker are ended.

    Raises:
        RuntimeError: It ended before it answered, or did not answer in two minutes.
    """
    port = _free_port()
    uri = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            _command(folder, port),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            start_new_session=True,  # its worker is then in its process group, and ends with it
        )
        try:
            _wait_until_healthy(server, uri, folder / "server.log")
            yield uri
        finally:
            _stop(server)


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


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End the server's whole process group: politely first, then for certain."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, ending)
            server.wait(SECONDS_TO_STOP)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    server.wait()
