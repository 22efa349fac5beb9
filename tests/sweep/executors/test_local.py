from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cifar_exp.components.datasets import DataError, Dataset
from cifar_exp.sweep.executors import Begun, Death, Message, fork_server
from cifar_exp.sweep.executors.local import LocalExecutor, TrainerProcess, _picklable
from cifar_exp.training.messages import Group, Outcome, Step, Training
from tests import tiny
from tests.chaos.bench import fork_servers_of
from tests.chaos.template import ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos  # the first trainer takes seconds to start
SECONDS = 60.0

needs_a_fork_server = pytest.mark.skipif(
    fork_server.METHOD != "forkserver", reason="trainers are not forked here"
)

NewGroup = Callable[..., Group]


@pytest.fixture
def new_group(images: Path, data: Dataset, tmp_path: Path) -> NewGroup:
    def make(*seeds: int, epochs: int = 2, data_path: Path = data.path) -> Group:
        trainings = tuple(
            Training(
                name=f"seed {seed}", config=tiny.trial_config(images, seed=seed, epochs=str(epochs))
            )
            for seed in seeds or (0,)
        )
        return Group(trainings=trainings, data_path=data_path, folder=tmp_path)

    return make


def receive(executor: LocalExecutor) -> tuple[TrainerProcess, Message]:
    while True:
        for trainer, message in executor.messages(SECONDS):
            return trainer, message


def pid_of(trainer: TrainerProcess) -> int:
    assert trainer._process.pid is not None
    return trainer._process.pid


def finish(executor: LocalExecutor) -> tuple[TrainerProcess, list[Message]]:
    """Let the running group train to its end; return its trainer and the trainer's messages."""
    received: list[Message] = []
    while True:
        trainer, message = receive(executor)
        received.append(message)
        if isinstance(message, Step) and message.epochs:
            trainer.go_on(dict.fromkeys(message.epochs, True))
        elif not isinstance(message, Begun):
            return trainer, received


@pytest.mark.chaos_short
def test_a_group_is_trained_step_by_step_and_its_trainer_is_reused(new_group: NewGroup) -> None:
    with LocalExecutor(1, 1) as executor:
        first = executor.begin(new_group(0, 1))
        assert executor.num_free == 0
        trainer, received = finish(executor)
        assert trainer is first
        assert executor.num_free == 1
        assert isinstance(received[0], Begun)
        steps = [message for message in received[1:] if isinstance(message, Step)]
        epochs = [{index: m.epoch for index, m in step.epochs.items()} for step in steps]
        assert epochs == [{0: 1, 1: 1}, {0: 2, 1: 2}, {}]
        assert {index: o.state for index, o in steps[-1].outcomes.items()} == {
            0: "COMPLETE",
            1: "COMPLETE",
        }
        assert executor.begin(new_group()) is first
        finish(executor)
    wait_until(lambda: not Path(f"/proc/{pid_of(first)}").exists(), 10)


def test_a_training_can_be_ended_early_while_the_others_continue(new_group: NewGroup) -> None:
    with LocalExecutor(1, 1) as executor:
        executor.begin(new_group(0, 1))
        assert isinstance(receive(executor)[1], Begun)
        trainer, _ = receive(executor)
        trainer.go_on({0: False, 1: True})
        _, step = receive(executor)
        assert isinstance(step, Step)
        assert (list(step.epochs), list(step.outcomes)) == ([1], [0])
        outcome: Outcome = step.outcomes[0]
        assert (outcome.state, outcome.epochs, outcome.network) == ("PRUNED", 1, None)


@pytest.mark.chaos_short
def test_a_trainer_that_dies_is_reported_and_replaced(new_group: NewGroup) -> None:
    with LocalExecutor(2, 1) as executor:
        dead = executor.begin(new_group(epochs=1000))
        assert isinstance(receive(executor)[1], Begun)
        os.kill(pid_of(dead), signal.SIGKILL)
        while not isinstance(message := receive(executor)[1], Death):
            pass
        assert message.reason == "signal 9"
        alive = executor.begin(new_group())
        assert pid_of(alive) != pid_of(dead)
        _, received = finish(executor)
        assert isinstance(received[-1], Step)


def test_an_idle_trainer_that_has_died_gets_no_group(new_group: NewGroup) -> None:
    with LocalExecutor(1, 1) as executor:
        first = executor.begin(new_group())
        finish(executor)
        os.kill(pid_of(first), signal.SIGKILL)
        wait_until(lambda: not first.is_alive, 10)
        assert executor.begin(new_group()) is not first
        finish(executor)


def test_an_error_of_the_machine_reaches_the_recorder(new_group: NewGroup, tmp_path: Path) -> None:
    with LocalExecutor(1, 1) as executor:
        executor.begin(new_group(data_path=tmp_path / "none"))
        _, error = receive(executor)
        assert isinstance(error, DataError)
        assert executor.num_free == 1


def test_an_interruption_ends_the_trainers_immediately(new_group: NewGroup) -> None:
    trainers: list[TrainerProcess] = []

    def interrupted() -> None:
        with LocalExecutor(2, 1) as executor:
            trainers.extend(executor.begin(new_group(epochs=100_000)) for _ in range(2))
            for _ in range(2):
                assert isinstance(receive(executor)[1], Begun)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for trainer in trainers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid_of(trainer), 0)


@needs_a_fork_server
def test_the_death_of_the_fork_server_loses_no_training(new_group: NewGroup) -> None:
    with LocalExecutor(2, 1) as executor:
        executor.begin(new_group())
        assert isinstance(receive(executor)[1], Begun)
        server = fork_servers_of(os.getpid())[0]
        os.kill(server, signal.SIGKILL)
        _, received = finish(executor)
        assert isinstance(received[-1], Step)
        executor.begin(new_group())
        busy = executor.begin(new_group())
        assert busy._process.pid is not None
        assert fork_servers_of(os.getpid())[0] != server


@needs_a_fork_server
def test_trainers_without_a_fork_server_can_be_ended(new_group: NewGroup) -> None:
    with LocalExecutor(1, 1) as executor:
        trainer = executor.begin(new_group(epochs=100_000))
        assert isinstance(receive(executor)[1], Begun)
        os.kill(fork_servers_of(os.getpid())[0], signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid_of(trainer)}").exists(), 10)


def test_trainers_end_with_their_parent() -> None:
    program = """
import sys, time
from pathlib import Path
from cifar_exp.sweep.executors.local import TrainerProcess
trainer = TrainerProcess(1)
print(trainer._process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.kill()
    parent.communicate()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10)


class Awkward(Exception):  # noqa: N818 - like an exception of a library
    """An error that can be pickled but not unpickled."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} is not {other}")


@pytest.mark.chaos_short
@pytest.mark.parametrize(
    ("error", "kind", "expected"),
    [
        (DataError("no such file"), DataError, "no such file"),
        (Awkward(1, 2), RuntimeError, "Awkward: 1 is not 2"),
    ],
)
def test_errors_that_cannot_be_pickled_reach_the_recorder_as_text(
    error: Exception, kind: type[Exception], expected: str
) -> None:
    received = pickle.loads(pickle.dumps(_picklable(error)))
    assert (type(received), str(received)) == (kind, expected)


@pytest.mark.chaos_short
def test_modules_loaded_before_a_fork_are_safe_and_include_no_store() -> None:
    """The fork server has one Python thread, did not query the GPU, and imported no store."""
    program = """
import sys, threading, torch
devices = []
torch._C._cuda_getDeviceCount = torch.cuda.device_count = lambda: devices.append("a GPU") or 0
import cifar_exp.sweep.preload
assert threading.active_count() == 1, threading.enumerate()
assert not devices and not torch.cuda.is_initialized()
stores = {"mlflow", "optuna", "sqlalchemy"} & {name.partition(".")[0] for name in sys.modules}
assert not stores, stores
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


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
