"""Help and error messages are fast: they import no large library and create no files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import tomli_w

from tests.definitions import changed

LARGE = ["matplotlib", "mlflow", "numpy", "optuna", "pandas", "scipy", "sklearn", "torch"]
# Runs the command line, then prints the imported modules on a separate line.
PROGRAM = """
import json, sys
from cifar_exp.cli import main
try:
    main()
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@dataclass(frozen=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str
    loaded: set[str]


def typed(folder: Path, *words: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    *out, modules = done.stdout.splitlines()
    return Done(done.returncode, "\n".join(out), done.stderr, set(json.loads(modules)))


def test_help(tmp_path: Path) -> None:
    done = typed(tmp_path, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage: cifar-exp" in done.out
    assert done.loaded.isdisjoint(LARGE)
    assert list(tmp_path.iterdir()) == []


def run_without_lightning(program: str) -> None:
    """Run a program in a new process, without variables set by an import of Lightning."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTORCH_NVML_BASED_CUDA_CHECK"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=clean
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.chaos
@pytest.mark.skipif(find_spec("lightning") is None, reason="Lightning is not installed")
def test_a_training_does_not_load_lightning() -> None:
    program = """
import sys, cifar_exp.sweep.sweep, cifar_exp.tracking.artifacts.model
from mlflow.pytorch import log_model
assert "lightning" not in sys.modules and "pytorch_lightning" not in sys.modules
from mlflow.pytorch._lightning_autolog import MlflowModelCheckpointCallback  # loads it
assert "lightning" in sys.modules or "pytorch_lightning" in sys.modules
"""
    run_without_lightning(program)


@pytest.mark.chaos
def test_programs_compared_with_lightning_do_not_import_it() -> None:
    # Its import sets an environment variable that makes every GPU query slow.
    program = """
import os, sys, benchmarks.throughput
assert "lightning" not in sys.modules
assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ
"""
    run_without_lightning(program)


def test_a_comparison_only_reads_and_needs_no_torch(tmp_path: Path) -> None:
    done = typed(tmp_path, "compare", "none", "--tracking-uri", f"sqlite:///{tmp_path}/none.db")
    assert done.code == 2
    assert "mlflow" in done.loaded
    assert "torch" not in done.loaded


BAD = {"search/trails": 3, "optimizers/sgd/lr": True}
SENTENCES = [
    'bad.toml: search.trails: unknown name; did you mean "trials"?',
    "bad.toml: optimizers.sgd.lr: should be a number",
]


@pytest.mark.parametrize("command", [["run"], ["plan"], ["run", "--trials", "3"]])
def test_a_wrong_definition(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(tomli_w.dumps(changed(BAD)), encoding="utf-8")
    done = typed(tmp_path, *command, "bad.toml")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == SENTENCES
    assert done.loaded.isdisjoint(LARGE)
    assert list(tmp_path.iterdir()) == [file]


def test_a_missing_definition(tmp_path: Path) -> None:
    done = typed(tmp_path, "run", "bad.toml")
    assert (done.code, done.out) == (2, "")
    assert done.err == "bad.toml: there is no such file\n"
    assert done.loaded.isdisjoint(LARGE)
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_of_one_training(tmp_path: Path) -> None:
    done = typed(tmp_path, "train", "--loss", "focl", "-s", "optimizer.momentum=0.9")
    assert (done.code, done.out) == (2, "")
    assert 'unknown loss "focl"; did you mean "focal"?' in done.err
    assert done.loaded.isdisjoint(LARGE)
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_losses(tmp_path: Path) -> None:
    done = typed(tmp_path, "list", "losses")
    assert (done.code, done.err) == (0, "")
    assert done.loaded.isdisjoint(LARGE)


@pytest.mark.parametrize("words", [["--version"], ["list", "experiments"]])
def test_what_needs_no_component(tmp_path: Path, words: list[str]) -> None:
    done = typed(tmp_path, *words)
    assert (done.code, done.err) == (0, "")
    assert done.loaded.isdisjoint(LARGE)
    assert list(tmp_path.iterdir()) == []


def test_a_starter_definition(tmp_path: Path, images: Path) -> None:
    done = typed(tmp_path, "init", "mine.toml", "--data-dir", str(images))
    assert (done.code, done.err) == (0, "")
    assert done.loaded.isdisjoint({"torch", "mlflow", "optuna"})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("run quick", "quickstart"),
        ("plan long-", "long-tail"),
        ("train --loss foc", "focal"),
        ("init --dataset dig", "digits"),
        ("wat", "watch"),
    ],
)
def test_a_shell_completes_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, name: str
) -> None:
    monkeypatch.setenv("_CIFAR_EXP_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"cifar-exp {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    done = typed(tmp_path)
    assert (done.code, done.err) == (0, "")
    assert f"plain,{name}" in done.out.splitlines()
    assert done.loaded.isdisjoint(LARGE)


def test_a_database_is_a_single_file_after_a_command(tmp_path: Path, store_template: Path) -> None:
    shutil.copy(store_template, tmp_path / "mlflow.db")
    done = typed(tmp_path, "doctor", "--tracking-uri", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (done.code, done.err) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
