"""Provenance of results: versions and the git state of the code."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

PACKAGES = ("cifar_exp", "torch", "torchvision", "mlflow", "optuna", "numpy")


@functools.cache
def tags() -> Mapping[str, str]:
    """Return tags of the code version: packages, git commit, and whether there were changes."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in PACKAGES}
    return {**versions, "version.python": platform.python_version(), **_git()}


def _git() -> dict[str, str]:
    """Return the git tags of the package's folder; empty if git does not track the package."""
    package = Path(__file__).parents[1]
    commit = _run_git("log", "-1", "--format=%H", "--", str(package))
    if not commit:
        return {}
    head = _run_git("rev-parse", "HEAD")
    dirty = bool(_run_git("status", "--porcelain", "--untracked-files=no"))
    return {"mlflow.source.git.commit": head, "git.dirty": str(dirty).lower()}


def _run_git(*arguments: str) -> str:
    try:
        process = subprocess.run(
            ["git", "-C", str(Path(__file__).parents[1]), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""
