"""Provenance of results: versions, the git state of the code, and the processor."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cifar_exp.components.plugins import registry

PACKAGES = ("cifar_exp", "torch", "torchvision", "mlflow", "optuna", "numpy")


@functools.cache
def tags() -> Mapping[str, str]:
    """Return tags of the code version (packages, git commit, changes) and of the processor."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in PACKAGES}
    return {**versions, "version.python": platform.python_version(), **_git(), **_hardware()}


def plugin_tags() -> Mapping[str, str]:
    """Return the tag with names and hashes of the plug-ins of this process; empty without any."""
    plugins = ", ".join(f"{plugin.label} {plugin.digest}" for plugin in registry.loaded())
    return {"plugins": plugins} if plugins else {}


def _git() -> dict[str, str]:
    """Return the git tags of the package's folder; empty if git does not track the package."""
    package = Path(__file__).parents[1]
    commit = _run_git("log", "-1", "--format=%H", "--", str(package))
    if not commit:
        return {}
    head = _run_git("rev-parse", "HEAD")
    dirty = bool(_run_git("status", "--porcelain", "--untracked-files=no"))
    return {"mlflow.source.git.commit": head, "git.dirty": str(dirty).lower()}


def _hardware() -> dict[str, str]:
    """Return the tag with the names of the processor and of the GPUs; empty if none is known.

    The driver is asked for the GPUs, as torch would occupy them in this process.
    """
    gpus = _run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()
    names = [name for name in (_cpu(), *dict.fromkeys(gpus)) if name]
    return {"processor": ", ".join(names)} if names else {}


def _cpu() -> str:
    """Return the name of the processor: on Linux, its model."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return next(models, platform.machine())
    return platform.processor() or platform.machine()


def _run_git(*arguments: str) -> str:
    return _run("git", "-C", str(Path(__file__).parents[1]), *arguments)


def _run(*command: str) -> str:
    """Return the output of a command; empty if it failed or does not exist."""
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""
