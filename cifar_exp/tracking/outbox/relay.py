"""The relay: a process that delivers an outbox while a sweep trains, and its control.

It is a separate process, so that trainings neither wait for the server nor share CPU time with the
push, and so that it can be killed when the server does not respond.
"""

from __future__ import annotations

import os
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

from cifar_exp.system import signals
from cifar_exp.system.formatting import first_line
from cifar_exp.system.urls import is_server
from cifar_exp.tracking.outbox.changes import changes
from cifar_exp.tracking.outbox.outbox import Outbox, outbox_of
from cifar_exp.tracking.outbox.pull import Pull
from cifar_exp.tracking.outbox.push import Push, Sent
from cifar_exp.tracking.outbox.sync_state import SyncState
from cifar_exp.tracking.project_run import VARIABLE
from cifar_exp.tracking.store.connect import connect
from cifar_exp.tracking.store.server import StoreError

SECONDS_BETWEEN_ROUNDS = 2.0
SHARE_OF_TIME = 0.1
"""Largest fraction of the time that rounds may take; it determines the pause after a round."""
SECONDS_TO_COME_BACK = 5.0
"""At the end of a sweep: how long to wait for a server that accepts nothing."""
SECONDS_AFTER_FAILURE = 5.0
"""After an interruption: how long to wait for the last push."""
HTTP_DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""MLflow's defaults retry for minutes; here the next round retries. The user's values are kept."""
END = "end\n"


@contextmanager
def delivering(uri: str, mlflow_experiment: str, experiment: str | None = None) -> Iterator[str]:
    """Yield the URI of the store to write to; if `uri` is a server, deliver to it meanwhile.

    Args:
        uri: The tracking URI.
        mlflow_experiment: The MLflow experiment of new runs.
        experiment: The definition's name, if its runs on the server are to be resumed.

    Raises:
        StoreError: The server does not respond at the start, or its experiment is deleted.
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
    """Send the changes of an outbox, in this process.

    Raises:
        StoreError: The server does not respond.
    """
    _set_http_defaults()
    with closing(SyncState(outbox.sync_state_file)) as sync_state:
        client = connect(outbox.uri)
        push = Push(client, mlflow.MlflowClient(outbox.server), sync_state)
        with outbox.alone():
            return push.round()


def undelivered(uri: str) -> int:
    """Return the number of runs not delivered to the server at `uri`; 0 for other stores."""
    outbox = outbox_of(uri) if is_server(uri) else None
    if outbox is None or not outbox.sync_state_file.exists():
        return 0
    with closing(SyncState(outbox.sync_state_file)) as sync_state:
        return len(changes(connect(outbox.uri), sync_state))


def address(uri: str, page: str) -> tuple[str, str]:
    """Return the store that has a run, and the path of the run in MLflow's UI.

    The store is the server, or the outbox if the run is not delivered yet.
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
    """The process that delivers an outbox; it ends with the parent process."""

    def __init__(self, outbox: Outbox) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        with signals.leaving_to_parent():  # it is the last to end
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, outbox.server],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # MLflow warns about every failed request
                encoding="utf-8",
                env={
                    **os.environ,
                    "PYTHONPATH": paths,
                    "PYTHONIOENCODING": "utf-8:backslashreplace",
                },
            )
        assert self._process.stdout is not None
        self._listener = threading.Thread(
            target=_print_warnings, args=[self._process.stdout], daemon=True
        )
        self._listener.start()

    def end(self, seconds: float | None = None) -> None:
        """Wait until everything is delivered, for at most `seconds`, and end the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(END)
            self._process.stdin.flush()
            self._process.wait(seconds)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            pass  # undelivered runs are kept
        finally:
            self._process.kill()
            self._process.wait()
            self._listener.join()


def _print_warnings(lines: IO[str]) -> None:
    for line in lines:
        print(f"warning: {line.rstrip()}", file=sys.stderr)


def _prepare(uri: str, mlflow_experiment: str, experiment: str | None) -> Outbox:
    """Open the outbox, and pull the runs of the experiment from the server."""
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
        outbox.experiment(
            client, mlflow_experiment
        )  # under the lock, so that only one process creates it
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


def _set_http_defaults() -> None:
    for name, value in HTTP_DEFAULTS.items():
        os.environ.setdefault(name, value)


class Round:
    """Delivers repeatedly, and reports when the server becomes unavailable or available."""

    def __init__(self, outbox: Outbox, delivery: Push) -> None:
        self.outbox = outbox
        self.push = delivery
        self.away = False
        self.last_arrival = time.monotonic()

    def __call__(self) -> bool:
        """Deliver all changes; return whether all of them arrived."""
        try:
            with self.outbox.alone():
                sent = self.push.round()
        except StoreError:
            return self._fail("does not answer")
        except (MlflowException, OSError, sqlalchemy.exc.SQLAlchemyError) as error:
            return self._fail(f"cannot be written to ({first_line(error)})")
        if self.away:
            _print_line(f"{self.outbox.server} answers again")
        self.away = False
        for warning in sent.warnings:
            _print_line(warning)
        if sent.runs or sent.points:
            self.last_arrival = time.monotonic()
        return sent.left == 0

    def finish(self) -> None:
        """Deliver until everything has arrived, or nothing has arrived for some time."""
        self.last_arrival = time.monotonic()  # the waiting time starts here
        while not self():
            if time.monotonic() > self.last_arrival + SECONDS_TO_COME_BACK:
                return
            time.sleep(0.5)

    def _fail(self, reason: str) -> bool:
        if not self.away:
            _print_line(
                f"{self.outbox.server} {reason}; training continues, runs are kept on this machine"
            )
        self.away = True
        return False


def _print_line(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Deliver the outbox of the server in `sys.argv[1]` until `END` is read from stdin."""
    _set_http_defaults()
    ending = threading.Event()
    threading.Thread(target=_await_end, args=[ending], daemon=True).start()
    outbox = outbox_of(sys.argv[1])
    sync_state = SyncState(outbox.sync_state_file)
    push = Push(connect(outbox.uri), mlflow.MlflowClient(outbox.server), sync_state)
    deliver_round = Round(outbox, push)
    while not ending.is_set():
        started = time.monotonic()
        deliver_round()
        duration = time.monotonic() - started
        ending.wait(max(SECONDS_BETWEEN_ROUNDS, duration / SHARE_OF_TIME))
    deliver_round.finish()
    sync_state.close()


def _await_end(ending: threading.Event) -> None:
    """Wait for `END` from the sweep; exit at once if the sweep dies."""
    if sys.stdin.readline() != END:
        os._exit(1)
    ending.set()


if __name__ == "__main__":
    main()
