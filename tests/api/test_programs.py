"""Whole programs: a script, a notebook, and the examples of the page."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from scripts.notebook import NOTEBOOK, executed
from tests import tiny
from tests.bench import Stores

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "python.md"
# Without a guard, which spawned processes would need if they imported it.
SCRIPT = """
import cifar_exp
experiment = cifar_exp.load("tiny.toml")
ranking = cifar_exp.run(experiment, workers=2)
print(ranking.best.combination, ranking.complete)
"""
INTERRUPTED = "ranking = cifar_exp.run(cifar_exp.load('tiny.toml', {'epochs': 100_000}))"


@pytest.fixture
def folder(here: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a script and a definition, in which programs import this package."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (here / "script.py").write_text(SCRIPT)
    (here / "tiny.toml").write_text(tiny.definition(images, seeds="1"))
    return here


def stores(folder: Path) -> Stores:
    return Stores(f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/optuna.db")


@pytest.mark.chaos
@pytest.mark.parametrize("words", [["script.py"], ["-m", "script"], ["-"]])
def test_a_script_without_a_guard(folder: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        input=SCRIPT if words == ["-"] else None,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].endswith("True")
    assert done.stdout.count("8 trainings: ") == 1
    assert len(stores(folder).trainings()) == 8


@pytest.mark.chaos
def test_the_examples_of_the_page(folder: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (folder / "page.py").write_text("\n".join(blocks))
    subprocess.run([sys.executable, "page.py"], cwd=folder, check=True)
    found = stores(folder)
    assert len(found.records("trial", name="mine")) == 4
    assert len(found.records("confirmation", name="mine")) == 6
    assert (folder / "curves.png").exists()


def code_cells() -> list[dict[str, Any]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_the_stored_outputs_are_those_of_one_execution() -> None:
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    for cell in cells:
        ast.parse("".join(cell["source"]))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert "error" not in {output["output_type"] for output in outputs}
    assert "stderr" not in {output.get("name") for output in outputs}
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds == {"text/plain", "text/html", "image/png"}


@pytest.mark.chaos
def test_the_notebook_runs(folder: Path) -> None:
    outputs = [c["outputs"] for c in executed(folder)["cells"] if c["cell_type"] == "code"]
    assert len(outputs) == len(code_cells())
    [progress] = [o for o in outputs[1] if o["output_type"] == "display_data"]
    assert "12/12" in progress["data"]["text/plain"]
    ranked = stores(folder)
    assert len(ranked.records("confirmation", name="notebook")) == 6


@pytest.fixture
def kernel(folder: Path) -> Iterator[tuple[KernelManager, Any]]:
    manager, client = start_new_kernel(cwd=str(folder), env=dict(os.environ))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.chaos
def test_an_interrupted_cell_closes_its_runs_and_is_continued(
    kernel: tuple[KernelManager, Any], folder: Path
) -> None:
    manager, client = kernel
    client.execute_interactive("import cifar_exp", timeout=60)
    client.execute(INTERRUPTED)
    until = time.monotonic() + 120
    while not (folder / "mlflow.db").exists() or not stores(folder).running():
        assert time.monotonic() < until
        time.sleep(1)
    time.sleep(5)  # trainers are at work
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=60)["content"]
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert stores(folder).running() == []
    reply = client.execute_interactive(SCRIPT, timeout=120)["content"]
    assert reply["status"] == "ok"
    assert sum(record.finished for record in stores(folder).trainings()) == 8
