"""The process that delivers an outbox while a sweep trains, and the sweep's side of it.

It is a process of its own so that the trainings neither wait for the server nor share their time
with the push, and so that it can be left behind when the server does not answer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO

import mlflow
import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from cifar_exp.system import sqlite
from cifar_exp.system.formatting import first_line
from cifar_exp.tracking.outbox.changes import changes
from cifar_exp.tracking.outbox.outbox import Outbox, outbox_of
from cifar_exp.tracking.outbox.pull import Pull
from cifar_exp.tracking.outbox.push import Push, Sent
from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.project_run import VARIABLE
from cifar_exp.tracking.store.connect import connect
from cifar_exp.tracking.store.server import StoreError, is_server

SECONDS_BETWEEN_ROUNDS = 2.0
SHARE_OF_TIME = 0.1
"""The pause after a round is so long that looking for what is new takes at most this share."""
SECONDS_TO_COME_BACK = 5.0
"""How long the end waits for a server that takes nothing."""
SECONDS_AFTER_FAILURE = 5.0
"""How long an interrupted sweep waits for its last push."""
BOUNDS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""MLflow would try for minutes; here the next round tries again. What the user has set counts."""
END = "end\n"


@contextmanager
def delivering(uri: str, mlflow_experiment: str, experiment: str | None = None) -> Iterator[str]:
    """Give the URI of the store to write to, and deliver to `uri`, if that is a server.

    Args:
        uri: The tracking URI.
        mlflow_experiment: The MLflow experiment that runs will be made in.
        experiment: The definition's name, if its runs on the server are to be gone on with.

    Raises:
        StoreError: The server does not answer at the start, or its experiment is deleted.
    """
    if not is_server(uri):
        yield uri
        return
    outbox = _prepare(uri, mlflow_experiment, experiment)
    relay = Relay(outbox)
    try:
        yield outbox.uri
    except BaseException:
        relay.end(SECONDS_AFTER_FAILURE)
        raise
    relay.end()


def deliver(outbox: Outbox) -> Sent:
    """Send what is left in an outbox, in this process.

    Raises:
        StoreError: The server does not answer.
    """
    _bound_requests()
    with closing(SyncState(outbox.sync_state_file)) as sync_state:
        client = connect(outbox.uri)
        push = Push(client, mlflow.MlflowClient(outbox.server), sync_state)
        with outbox.alone():
            return push.round()


def undelivered(uri: str) -> int:
    """Count the runs for the server at `uri` that it has not got; other stores have all."""
    outbox = outbox_of(uri) if is_server(uri) else None
    if outbox is None or not outbox.sync_state_file.exists():
        return 0
    with closing(SyncState(outbox.sync_state_file)) as sync_state:
        return len(changes(connect(outbox.uri), sync_state))


def address(uri: str, page: str) -> tuple[str, str]:
    """Return the store to look at a run, and the run's path in MLflow's pages there.

    That is the server, or the outbox for a run that has not been delivered.
    """
    if not is_server(uri):
        return uri, page
    outbox = outbox_of(uri)
    _, _, experiment_id, _, run_id = page.split("/")
    with closing(SyncState(outbox.sync_state_file)) as sync_state:
        experiment = sync_state.server_id(f"experiment/{experiment_id}")
        run = sync_state.server_id(run_id)
    if experiment is None or run is None:
        return outbox.uri, page
    return outbox.server, f"/experiments/{experiment}/runs/{run}"


class Relay:
    """The delivering process of an outbox, which ends with this one."""

    def __init__(self, outbox: Outbox) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, outbox.server],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # MLflow's own warnings of each request
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=_warn, args=[self._process.stdout], daemon=True)
        self._listener.start()

    def end(self, seconds: float | None = None) -> None:
        """Let it deliver the rest, for so many seconds at most, and end it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(END)
            self._process.stdin.flush()
            self._process.wait(seconds)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            pass  # what it has not sent is kept
        finally:
            self._process.kill()
            self._process.wait()
            self._listener.join()


def _warn(lines: IO[str]) -> None:
    for line in lines:
        print(f"warning: {line.rstrip()}", file=sys.stderr)


def _prepare(uri: str, mlflow_experiment: str, experiment: str | None) -> Outbox:
    """Open the outbox, and take in what the server has and it has not."""
    outbox = outbox_of(uri)
    server = connect(uri)
    found = server.get_experiment_by_name(mlflow_experiment)
    if found is not None and found.lifecycle_stage == "deleted":
        raise StoreError(
            f"the MLflow experiment {mlflow_experiment!r} is deleted; restore it or choose a name"
        )
    outbox.open()
    client = connect(outbox.uri)
    with outbox.alone(), closing(SyncState(outbox.sync_state_file)) as sync_state:
        outbox.experiment(client, mlflow_experiment)  # of several processes, one makes it
        pull = Pull(outbox, client, server, sync_state)
        inherited = os.environ.get(VARIABLE)
        try:
            if inherited is not None:
                os.environ[VARIABLE] = pull.take_run(inherited)
            if experiment is not None:
                pull.take_experiment(experiment)
        except MlflowException as error:
            raise StoreError(f"the MLflow server {outbox.server} cannot be read: {error}") from None
    return outbox


def _bound_requests() -> None:
    for name, value in BOUNDS.items():
        os.environ.setdefault(name, value)


class Round:
    """Delivers again and again, and tells when the server goes away and when it is back."""

    def __init__(self, outbox: Outbox, delivery: Push) -> None:
        self.outbox = outbox
        self.push = delivery
        self.away = False
        self.last_arrival = time.monotonic()

    def __call__(self) -> bool:
        """Deliver what is new; say whether all of it arrived."""
        try:
            with self.outbox.alone():
                sent = self.push.round()
        except StoreError:
            return self._fail("does not answer")
        except (MlflowException, OSError, sqlalchemy.exc.SQLAlchemyError) as error:
            return self._fail(f"cannot be written to ({first_line(error)})")
        if self.away:
            _say(f"{self.outbox.server} answers again")
        self.away = False
        if sent.runs or sent.points:
            self.last_arrival = time.monotonic()
        return sent.left == 0

    def finish(self) -> None:
        """Deliver until all has arrived, or nothing has for some time."""
        self.last_arrival = time.monotonic()  # or the beginning of the end
        while not self():
            if time.monotonic() > self.last_arrival + SECONDS_TO_COME_BACK:
                return
            time.sleep(0.5)

    def _fail(self, how: str) -> bool:
        if not self.away:
            _say(f"{self.outbox.server} {how}; training goes on, runs are kept here")
        self.away = True
        return False


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def main() -> None:
    """Deliver the outbox of the server that is named, until the end is asked for on stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the sweep too, which decides
    _bound_requests()
    ending = threading.Event()
    threading.Thread(target=_await_end, args=[ending], daemon=True).start()
    outbox = outbox_of(sys.argv[1])
    sqlite.share_files()
    sync_state = SyncState(outbox.sync_state_file)
    push = Push(connect(outbox.uri), mlflow.MlflowClient(outbox.server), sync_state)
    deliver_round = Round(outbox, push)
    while not ending.is_set():
        started = time.monotonic()
        deliver_round()
        taken = time.monotonic() - started
        ending.wait(max(SECONDS_BETWEEN_ROUNDS, taken / SHARE_OF_TIME))
    deliver_round.finish()
    sync_state.close()


def _await_end(ending: threading.Event) -> None:
    """Wait for the sweep to ask for the end; where it dies, end at once."""
    if sys.stdin.readline() != END:
        os._exit(1)
    ending.set()


if __name__ == "__main__":
    main()
