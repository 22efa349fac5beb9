"""A tiny sweep in a separate process, the faults injected into it, and its expected results."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from tests import tiny
from tests.bench import Stores, tiny_search
from tests.chaos.template import ROOT, Program
from tests.waiting import wait_until

SEARCH = tiny_search("tpe", "median")
MOMENTUM = "sgd = { momentum = 0.9, lr = { low = 0.01, high = 0.1 } }"
EPOCHS, TRAININGS = 3, 8
"""Epochs per training, and number of trainings of the two combinations of the sweep below."""
Outcome = dict[str, Any]


def definition(images: Path, **changes: str) -> str:
    """Return the definition of the tiny sweep; its optimizer has a state that can be lost."""
    whole = {"epochs": str(EPOCHS), "search": SEARCH, "seeds": "1", "optimizers": MOMENTUM}
    return tiny.definition(images, **{**whole, **changes})


def fault(
    point: str, *, to: str = "self", signal: str = "SIGKILL", times: int = 1, **where: Any
) -> dict[str, Any]:
    return {"point": point, "where": where, "signal": signal, "to": to, "times": times}


class ProcessBench(Stores):
    """A folder with the stores of one experiment, where each command runs in a separate process.

    Args:
        folder: The folder, which is created.
        text: The definition.
        template: An empty MLflow database to copy, as creating one is slow.
        uri: The MLflow store; by default a database in the folder.
        num_trainings: The number of trainings of the definition.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        template: Path | None = None,
        *,
        uri: str | None = None,
        num_trainings: int = TRAININGS,
    ) -> None:
        folder.mkdir()
        if template:
            shutil.copy(template, folder / "mlflow.db")
        (folder / "tiny.toml").write_text(text)
        self.folder = folder
        self.num_trainings = num_trainings
        self.environment: dict[str, str] = {}
        super().__init__(
            uri or f"sqlite:///{folder / 'mlflow.db'}", f"sqlite:///{folder / 'optuna.db'}"
        )

    def start(
        self,
        *options: str,
        faults: list[dict[str, Any]] | None = None,
        output: int | None = None,
    ) -> Program:
        """Start the sweep in its own process group, with faults to inject."""
        words = ["run", "tiny.toml", "--threads", "1", *options]
        return self.command(*words, faults=faults, output=output)

    def command(
        self,
        *words: str,
        faults: list[dict[str, Any]] | None = None,
        output: int | None = None,
    ) -> Program:
        """Start a command in the folder; `output` is a descriptor, see `Program`."""
        marked = [
            {**each, "marks": str(self.folder / f"marks-{number}-{time.monotonic_ns()}")}
            for number, each in enumerate(faults or [])
        ]
        return Program(
            *words,
            cwd=self.folder,
            output=output,
            environment={
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_TRACKING_URI": self.tracking_uri,
                "CIFAR_EXP_CACHE": str(self.folder / "cache"),
                "CIFAR_EXP_FAULTS": json.dumps(marked),
                "CHAOS_EPOCHS": str(self.folder / "epochs"),
                **self.environment,
            },
        )

    def run(
        self,
        *options: str,
        faults: list[dict[str, Any]] | None = None,
        patience: float = 240,
    ) -> subprocess.CompletedProcess[str]:
        """Run the sweep until it ends, with or without an error."""
        process = self.start(*options, faults=faults)
        code = process.wait(patience)
        wait_until(lambda: not processes_of(process.pid), 15)  # D: no process remains
        return subprocess.CompletedProcess(options, code, *process.communicate())

    def epochs_trained(self) -> int:
        """The number of epochs trained by all executions, including lost ones."""
        path = self.folder / "epochs"
        return path.stat().st_size if path.exists() else 0

    def outcome(self) -> Outcome:
        """The results that must be bitwise identical: those of each training, and the ranking."""
        return {"results": self.results(), "ranking": self.ranking()}

    def ranking(self) -> dict[str, Any]:
        """The stored ranking, without measured times."""
        [top] = self.records("sweep")
        path = self.client.download_artifacts(
            top.run_id, "comparison/ranking.json", str(self.folder)
        )
        content: dict[str, Any] = _without_times(json.loads(Path(path).read_text()))
        return content

    def check(self) -> None:
        """Check the conditions after every completed execution (A, B, C and E)."""
        assert self.running() == []
        names = [record.name for record in self.trainings()]
        assert len(names) == len(set(names)) == self.num_trainings
        for record in self.trainings():
            steps = [p.step for p in self.client.get_metric_history(record.run_id, "epoch_seconds")]
            assert steps == list(range(1, len(steps) + 1))  # each epoch is recorded once
        assert [path for path in self.left() if path.suffix in {".tmp", ".pt"}] == []

    def left(self) -> list[Path]:
        folder = self.folder / "cache" / "checkpoints"
        return list(folder.iterdir()) if folder.exists() else []


def _without_times(content: Any) -> Any:
    """Remove all values of a ranking that depend on clocks and ids, at any depth."""
    match content:
        case dict():
            kept = {k: v for k, v in content.items() if not _is_time(k)}
            return {key: _without_times(value) for key, value in kept.items()}
        case list():
            return [_without_times(value) for value in content]
    return content


def _is_time(key: str) -> bool:
    return "second" in key or key.startswith("run_id")


def processes_of(group: int) -> list[str]:
    """Return the live processes of a group."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True, check=False
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [pid for pid, state in rows if not state.startswith("Z")]


def children(pid: int, command: str = "") -> list[int]:
    """Return the child processes with a certain command, the oldest first."""
    pattern = ["-f", command] if command else []
    listed = subprocess.run(
        ["pgrep", "-P", str(pid), *pattern], capture_output=True, text=True, check=False
    )
    return sorted(map(int, listed.stdout.split()))


def fork_servers_of(pid: int) -> list[int]:
    """Return the fork servers that a process has started: one, or none yet."""
    return children(pid, "multiprocessing.forkserver")
