"""A tiny sweep as a process of its own, what is done to it, and what it must leave."""

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
"""Of the sweep below: epochs a training, and trainings of its two combinations."""
Outcome = dict[str, Any]


def definition(images: Path, **changes: str) -> str:
    """Write the definition of the tiny sweep; its optimizer has a state that can be lost."""
    whole = {"epochs": str(EPOCHS), "search": SEARCH, "seeds": "1", "optimizers": MOMENTUM}
    return tiny.definition(images, **{**whole, **changes})


def fault(
    point: str, *, to: str = "self", signal: str = "SIGKILL", times: int = 1, **where: Any
) -> dict[str, Any]:
    return {"point": point, "where": where, "signal": signal, "to": to, "times": times}


class ProcessBench(Stores):
    """A folder with the stores of one experiment, where each command is a process of its own.

    Args:
        folder: Where, to be made.
        text: The definition.
        template: An empty MLflow database to begin with, which saves making one.
        uri: The MLflow store: by default a database in the folder.
        num_trainings: How many trainings the definition asks for.
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

    def start(self, *options: str, faults: list[dict[str, Any]] | None = None) -> Program:
        """Start the sweep as a process of its own group, with the faults that it will meet."""
        return self.command("run", "tiny.toml", "--threads", "1", *options, faults=faults)

    def command(self, *words: str, faults: list[dict[str, Any]] | None = None) -> Program:
        """Start a command in the folder."""
        marked = [
            {**each, "marks": str(self.folder / f"marks-{number}-{time.monotonic_ns()}")}
            for number, each in enumerate(faults or [])
        ]
        return Program(
            *words,
            cwd=self.folder,
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
        """Run the sweep to its end, whatever that is."""
        process = self.start(*options, faults=faults)
        code = process.wait(patience)
        wait_until(lambda: not processes_of(process.pid), 15)  # D: nobody is left
        return subprocess.CompletedProcess(options, code, *process.communicate())

    def epochs_trained(self) -> int:
        """How many epochs all executions have trained, those included that came to nothing."""
        path = self.folder / "epochs"
        return path.stat().st_size if path.exists() else 0

    def outcome(self) -> Outcome:
        """All that is to be equal to the bit: each training's result, and the ranking."""
        return {"results": self.results(), "ranking": self.ranking()}

    def ranking(self) -> dict[str, Any]:
        """The stored ranking, without what was measured in seconds."""
        [top] = self.records("sweep")
        path = self.client.download_artifacts(
            top.run_id, "comparison/ranking.json", str(self.folder)
        )
        held: dict[str, Any] = _without_times(json.loads(Path(path).read_text()))
        return held

    def check(self) -> None:
        """Check what holds after every execution that came to its end (A, B, C and E)."""
        assert self.running() == []
        names = [record.name for record in self.trainings()]
        assert len(names) == len(set(names)) == self.num_trainings
        for record in self.trainings():
            steps = [p.step for p in self.client.get_metric_history(record.run_id, "epoch_seconds")]
            assert steps == list(range(1, len(steps) + 1))  # each epoch is there once
        assert [path for path in self.left() if path.suffix in {".tmp", ".pt"}] == []

    def left(self) -> list[Path]:
        folder = self.folder / "cache" / "checkpoints"
        return list(folder.iterdir()) if folder.exists() else []


def _without_times(held: Any) -> Any:
    """Leave out of a ranking all that depends on clocks and ids, wherever it stands."""
    match held:
        case dict():
            kept = {k: v for k, v in held.items() if not _is_time(k)}
            return {key: _without_times(value) for key, value in kept.items()}
        case list():
            return [_without_times(value) for value in held]
    return held


def _is_time(key: str) -> bool:
    return "second" in key or key.startswith("run_id")


def processes_of(group: int) -> list[str]:
    """List the processes of a group that are alive."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,stat=", "-g", str(group)], capture_output=True, text=True, check=False
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [pid for pid, state in rows if not state.startswith("Z")]


def children(pid: int, command: str = "") -> list[int]:
    """List the processes that a process has started with some command, the oldest first."""
    pattern = ["-f", command] if command else []
    listed = subprocess.run(
        ["pgrep", "-P", str(pid), *pattern], capture_output=True, text=True, check=False
    )
    return sorted(map(int, listed.stdout.split()))


def fork_servers_of(pid: int) -> list[int]:
    """List the fork servers that a process has started: one, or none yet."""
    return children(pid, "multiprocessing.forkserver")
