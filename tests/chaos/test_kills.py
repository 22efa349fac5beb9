"""Processes of a sweep are killed at every step; the final results equal undisturbed ones."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cifar_exp.system import paths
from tests.bench import CLI
from tests.chaos.bench import (
    EPOCHS,
    TRAININGS,
    Outcome,
    ProcessBench,
    fault,
    fork_servers_of,
    processes_of,
)
from tests.chaos.conftest import NewBench
from tests.chaos.template import ROOT
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

CE, MSE = "cross_entropy+sgd", "mse+sgd"
ONE = ["--workers", "1"]
GOES_ON = "run the same command again to resume"


def assert_as_undisturbed(bench: ProcessBench, undisturbed: Outcome) -> None:
    bench.check()
    assert bench.outcome() == undisturbed
    [version] = bench.client.search_model_versions("name = 'tiny'")
    assert bench.client.get_model_version_by_alias("tiny", "champion").version == version.version


@pytest.mark.chaos_short
def test_a_killed_sweep_resumes_from_its_last_epoch(
    new_bench: NewBench, undisturbed: Outcome
) -> None:
    bench = new_bench()
    deadly = [fault("after_checkpoint", training=f"{CE} #1", epoch=2, to="group")]
    bench.environment["CHAOS_SECONDS"] = "0.3"  # so that the trained epochs are written
    assert bench.run(*ONE, faults=deadly).returncode == -signal.SIGKILL
    [begun] = bench.running()[-1:]
    assert begun.name == f"{CE} #1"
    assert bench.epochs_trained() % EPOCHS == 2
    [kept] = bench.left()
    assert kept.stem == paths.checkpoint_name(
        bench.tracking_uri, begun.combination_id, "trial", 1, None
    )
    bench.environment["CHAOS_SECONDS"] = "0"
    done = bench.run(*ONE)
    assert done.returncode == 0, done.stderr
    assert_as_undisturbed(bench, undisturbed)
    assert bench.epochs_trained() == TRAININGS * EPOCHS  # no epoch was trained twice
    assert {r.name: r.run_id for r in bench.trainings()}[begun.name] == begun.run_id


def test_a_trainer_that_dies_at_any_step_is_replaced(
    new_bench: NewBench, undisturbed: Outcome
) -> None:
    bench = new_bench()
    deadly = [
        fault("after_epoch", training=f"{CE} #1", epoch=1),
        fault("after_checkpoint", training=f"{CE} #2", epoch=2),
        fault("before_outcome", training=f"{MSE} #0"),
        fault("after_checkpoint", training=f"{MSE} seed 1", epoch=1),
    ]
    done = bench.run("--workers", "2", faults=deadly)
    assert done.returncode == 0, done.stderr
    assert_as_undisturbed(bench, undisturbed)
    assert f"[{TRAININGS}/{TRAININGS}] " in done.stdout  # the end of each was reported
    attempts = {r.name: r.tags["attempts"] for r in bench.trainings() if "attempts" in r.tags}
    killed = [f"{CE} #1", f"{CE} #2", f"{MSE} #0", f"{MSE} seed 1"]
    assert attempts == dict.fromkeys(killed, "2")
    assert bench.epochs_trained() == TRAININGS * EPOCHS + 1  # the first attempt of CE #1


STEPS: list[dict[str, Any]] = [
    {"point": "after_ask", "training": f"{CE} #0"},
    {"point": "after_epoch", "training": f"{CE} #0", "epoch": 2},
    {"point": "after_checkpoint", "training": f"{CE} #1", "epoch": 2},
    {"point": "before_outcome", "training": f"{CE} #1"},
    {"point": "before_tell", "training": f"{CE} #1"},
    {"point": "before_end", "training": f"{CE} seed 1"},
    {"point": "before_version"},
    {"point": "before_alias"},
]
"""All fault injection points, in the order of the trainings of a combination and of the end."""


@pytest.mark.parametrize(
    ("signal_name", "to", "code", "steps"),
    [
        ("SIGINT", "group", 130, STEPS),
        ("SIGTERM", "parent", 143, STEPS),
        ("SIGKILL", "parent", -signal.SIGKILL, STEPS),
        ("SIGKILL", "group", -signal.SIGKILL, STEPS),
        ("SIGHUP", "group", 129, STEPS[1:3]),
        pytest.param("SIGINT", "group", 130, STEPS[1:2], marks=pytest.mark.chaos_short),
    ],
)
def test_a_sweep_may_be_terminated_at_any_step(
    new_bench: NewBench,
    undisturbed: Outcome,
    signal_name: str,
    to: str,
    code: int,
    steps: list[dict[str, Any]],
) -> None:
    bench = new_bench()
    bench.environment["CHAOS_SECONDS"] = "0.1"  # so that none ends before the signal
    limited = [*ONE, "--time-limit", "600"]
    for workers, step in zip(itertools.cycle([["--workers", "2"], ONE, limited]), steps):
        ended = bench.run(*workers, faults=[fault(**step, to=to, signal=signal_name)])
        assert ended.returncode == code, ended.stderr
        if code > 0:
            assert ended.stderr.strip().splitlines()[-1].endswith(GOES_ON)
            assert "Traceback" not in ended.stderr
            assert bench.running() == []
    done = bench.run(*ONE)
    assert done.returncode == 0, done.stderr
    assert_as_undisturbed(bench, undisturbed)
    repeated = bench.epochs_trained() - TRAININGS * EPOCHS
    assert repeated <= 2 * len(steps)  # the current epoch of each of two trainers
    assert not [
        r for r in bench.trainings() if "attempts" in r.tags
    ]  # the end of the sweep is not a crash


@pytest.mark.parametrize("workers", ["1", "2"])
def test_repeated_ctrl_c_gives_one_sentence(
    new_bench: NewBench, undisturbed: Outcome, workers: str
) -> None:
    bench = new_bench()
    bench.environment["CHAOS_SECONDS"] = "0.3"
    process = bench.start("--workers", workers)
    wait_until((bench.folder / "epochs").exists)
    while process.poll() is None:  # while runs are being closed, and while Python ends
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.002)
    _, errors = process.communicate(timeout=10)
    assert process.poll() == 130
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].endswith(GOES_ON)
    assert bench.running() == []
    states = {r.status for r in bench.trainings() if not r.finished}
    assert states == {"KILLED"}
    assert bench.run(*ONE).returncode == 0
    assert_as_undisturbed(bench, undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_while_the_fork_server_loads_gives_one_sentence(
    new_bench: NewBench, number: signal.Signals, code: int
) -> None:
    bench = new_bench()
    process = subprocess.Popen(
        [*CLI, "run", "tiny.toml", "--workers", "2"],
        cwd=bench.folder,
        env={**os.environ, "MLFLOW_TRACKING_URI": bench.tracking_uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: bool(fork_servers_of(process.pid)))
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].endswith(GOES_ON)
    wait_until(lambda: not processes_of(process.pid), 15)
    assert bench.running() == []


def test_ctrl_c_under_mlflow_run_ends_all_processes(new_bench: NewBench) -> None:
    bench = new_bench(epochs="2000")
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager=local"]
    process = subprocess.Popen(
        [*command, "-P", f"experiment={bench.folder / 'tiny.toml'}", "-P", "workers=2"],
        cwd=bench.folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": bench.tracking_uri,
            "OPTUNA_STORAGE": f"sqlite:///{bench.folder / 'optuna.db'}",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: any("val/accuracy" in r.metrics for r in bench.trainings()), 90)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    wait_until(lambda: not processes_of(process.pid), 15)
    assert "Traceback" not in errors
    assert f"interrupted; {GOES_ON}" in errors
    assert bench.running() == []
    assert {record.status for record in bench.trainings()} == {"KILLED"}


def test_a_training_that_keeps_crashing_fails(new_bench: NewBench) -> None:
    bench = new_bench()
    deadly = [
        fault("after_epoch", times=9, training=f"{CE} #1", epoch=2),
        fault("after_epoch", times=9, training=f"{MSE} seed 1", epoch=1),
    ]
    done = bench.run("--workers", "2", faults=deadly)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"no result for {MSE}"
    lines = [
        line for line in done.stdout.splitlines() if "crashed 3 times (last: signal 9)" in line
    ]
    assert len(lines) == 2
    assert not any("already finished" in line for line in lines)
    bench.check()
    stored = {record.name: record for record in bench.trainings()}
    for name in (f"{CE} #1", f"{MSE} seed 1"):
        assert (stored[name].state, stored[name].status) == ("FAIL", "FAILED")
        assert stored[name].tags["reason"] == "crashed 3 times (last: signal 9)"
        assert stored[name].metrics["seconds"] > 0
    assert bench.epochs_trained() == TRAININGS * EPOCHS - 3 + 2 + 2
    again = bench.run(*ONE)  # it is not changed
    assert (again.returncode, len(bench.trainings())) == (1, TRAININGS)


def test_faulty_losses_fail_only_their_own_trainings(new_bench: NewBench) -> None:
    losses = """
        cross_entropy = {}
        hanging = {}
        exiting = {}
        greedy = {}
        low = { type = "falling", to = "-inf" }
        high = { type = "falling", to = "inf" }
        none = { type = "falling", to = "nan" }
    """
    bench = new_bench(losses=losses, search="trials = 1\nbatch_size = [8]", epochs="1")
    done = bench.run(*ONE, "--time-limit", "6")
    assert done.returncode == 1, done.stderr
    assert bench.running() == []
    reasons = {r.name: r.tags.get("reason") for r in bench.records("trial")}
    assert reasons == {
        f"{CE} #0": None,
        "hanging+sgd #0": "took longer than the limit of 6 s",
        "exiting+sgd #0": "SystemExit: enough of 8 of 8",
        "greedy+sgd #0": "out of memory at batch size 8",
        **dict.fromkeys(
            ("low+sgd #0", "high+sgd #0", "none+sgd #0"),
            "the training loss is not finite in epoch 1",
        ),
    }
    diverged = {r.combination for r in bench.records("trial") if r.diverged}
    assert diverged == {"low+sgd", "high+sgd", "none+sgd"}
    values = [v for r in bench.trainings() for v in r.metrics.values()]
    assert all(abs(value) < 1e300 for value in values)  # and none of them is NaN
    rows = bench.ranking()["combinations"]
    assert [row["combination"] for row in rows if row["rank"] is not None] == [CE]
    assert rows[0]["combination"] == CE
