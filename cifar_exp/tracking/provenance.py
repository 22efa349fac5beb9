"""Where results come from: versions, and the state of the code's git repository."""

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
    """Return the tags that say which code ran: versions, git commit, and if it had changes."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in PACKAGES}
    return {**versions, "version.python": platform.python_version(), **_git()}


def _git() -> dict[str, str]:
    """Ask git about the folder of the package; nothing where it is no repository of ours."""
    package = Path(__file__).parents[1]
    commit = _run_git("log", "-1", "--format=%H", "--", str(package))
    if not commit:
        return {}
    head = _run_git("rev-parse", "HEAD")
    dirty = bool(_run_git("status", "--porcelain", "--untracked-files=no"))
    return {"mlflow.source.git.commit": head, "git.dirty": str(dirty).lower()}


def _run_git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parents[1]), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
