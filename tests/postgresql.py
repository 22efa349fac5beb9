"""A PostgreSQL server for tests.

It is started from the binaries of the machine (Debian: `apt-get install postgresql`).
"""

from __future__ import annotations

import gc
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

SECRET = "pa55-of-the-owner"
UNPRIVILEGED = ("postgres", "nobody")  # PostgreSQL cannot be run by root


def binary(name: str) -> str | None:
    places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *places]))


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server."""

    port: int
    password: str = SECRET

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://owner:{self.password}@127.0.0.1:{self.port}/{database}"

    def dump(self, database: str) -> str:
        """Return the content of a database, as text."""
        address = self.url(database).replace("+psycopg", "")
        dumped = subprocess.run(
            [str(binary("pg_dump")), "--inserts", address],
            capture_output=True,
            text=True,
            check=True,
        )
        return dumped.stdout


@contextmanager
def postgresql(*statements: str) -> Iterator[Server]:
    """Run a server with what these statements create; without PostgreSQL the test is skipped."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg, PostgreSQL's driver, is missing")
    if binary("initdb") is None or binary("postgres") is None:
        pytest.skip("there is no PostgreSQL here: neither on PATH nor in /usr/lib/postgresql")
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        name = next((name for name in UNPRIVILEGED if name in names), None)
        if name is None:
            pytest.skip("PostgreSQL cannot be run by root, and there is no other user")
        user = {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        process = start(Path(folder), port, user)
        try:
            address = f"host=127.0.0.1 port={port} user=owner password={SECRET} dbname=postgres"
            connection = connected(psycopg, process, address)
            for statement in statements:
                connection.execute(statement)
            connection.close()
            yield Server(port)
        finally:
            # Connections left in the pools of MLflow and Optuna would warn when they are collected.
            for kept in [each for each in gc.get_objects() if type(each) is psycopg.Connection]:
                kept.close()
            process.send_signal(signal.SIGQUIT)  # immediate shutdown
            process.wait()


def start(folder: Path, port: int, user: dict[str, Any]) -> subprocess.Popen[bytes]:
    password = folder / "password"
    password.write_text(SECRET)
    if user:
        for path in (folder, password):
            shutil.chown(path, str(user["user"]), user["group"])
    data = str(folder / "data")
    identity = ["-U", "owner", "-A", "scram-sha-256", "--pwfile", str(password)]
    subprocess.run(
        [str(binary("initdb")), "-D", data, "--no-sync", *identity],
        check=True,
        capture_output=True,
        cwd=folder,
        **user,
    )
    settings = ["-F", "-h", "127.0.0.1", "-p", str(port), "-k", ""]  # -F: no fsync
    started: subprocess.Popen[bytes] = subprocess.Popen(
        [str(binary("postgres")), "-D", data, *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **user,
    )
    return started


def connected(psycopg: Any, process: subprocess.Popen[bytes], address: str) -> Any:
    """Connect as soon as the server answers."""
    connections: list[Any] = []

    def answers() -> bool:
        assert process.poll() is None, "PostgreSQL has ended"
        try:
            connections.append(psycopg.connect(address, autocommit=True))
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers)
    return connections[0]
