"""Runs record the version of their code."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_exp.tracking import provenance


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A git repository that contains the package."""
    module = tmp_path / "package" / "provenance.py"
    module.parent.mkdir()
    module.write_text("first")
    commit = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q"]
    for command in (
        ["init", "-q"],
        ["add", "."],
        [*commit, "-m", "first"],
        [*commit, "--allow-empty", "-m", "of something else"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(module))
    provenance.tags.cache_clear()
    yield tmp_path
    provenance.tags.cache_clear()


def test_a_definition_beside_the_code_is_not_a_change_of_the_code(repository: Path) -> None:
    (repository / "mine.toml").write_text("name = 'mine'")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True
    )
    tags = provenance.tags()
    assert tags["mlflow.source.git.commit"] == head.stdout.strip()
    assert tags["git.dirty"] == "false"


def test_the_processor_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its driver tells, two GPUs of one kind."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho NVIDIA H100\necho NVIDIA H100\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    provenance.tags.cache_clear()
    processor, _, gpu = provenance.tags()["processor"].rpartition(", ")
    provenance.tags.cache_clear()
    assert processor
    assert gpu == "NVIDIA H100"


def test_a_tracked_file_that_differs_is_a_change(repository: Path) -> None:
    (repository / "package" / "provenance.py").write_text("second")
    assert provenance.tags()["git.dirty"] == "true"
