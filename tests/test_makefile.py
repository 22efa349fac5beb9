"""`make ... TORCH=cpu`: torch comes from the index of its build; one that is there stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if line.startswith(("torch==", "torchvision=="))
)


def write_wheel(index: Path, name: str, version: str) -> None:
    """Add an empty package to a package index in a folder."""
    info = f"{name}-{version}.dist-info"
    wheel = f"{name}-{version}-py3-none-any.whl"
    (index / name).mkdir(parents=True)
    (index / name / "index.html").write_text(f'<a href="{wheel}">{wheel}</a>')
    tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(index / name / wheel, "w") as archive:
        archive.writestr(
            f"{info}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: sympy\n",
        )
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")


def alone() -> dict[str, str]:
    """Return an environment in which pip knows only the index of the command line.

    And make does not know of a make that runs the tests.
    """
    others = ("PIP_", "MAKE", "MFLAGS")
    usual = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    return {**usual, "PIP_CONFIG_FILE": os.devnull}


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Install in a folder, but for the package itself."""
    target = [".venv/.installed", f"PYTHON={sys.executable}", "INSTALL=@true"]
    return subprocess.run(
        ["make", "--always-make", *target, *words],
        cwd=folder,
        env=alone(),
        capture_output=True,
        text=True,
        check=False,
    )


def next_step(folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask for torch as the next step of the installation does, without any package index."""
    command = [".venv/bin/pip", "install", "--no-index", "--no-deps"]
    return subprocess.run(
        [*command, "--constraint", "constraints.txt", "torch", "torchvision"],
        cwd=folder,
        env=alone(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in ("Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.chaos
def test_a_cpu_build_is_installed_and_kept(copied: Path) -> None:
    index = copied / "index"
    for name, version in PINNED.items():
        write_wheel(index, name, f"{version}+cpu")
    nowhere = f"TORCH_INDEX={(copied / 'none').as_uri()}"

    failed = make(copied, "TORCH=cpu", nowhere)
    assert failed.returncode != 0
    assert failed.stdout.splitlines()[-1].startswith(f"no torch cpu at {nowhere.partition('=')[2]}")
    assert not (copied / ".venv" / ".installed").exists()

    done = make(copied, "TORCH=cpu", f"TORCH_INDEX={index.as_uri()}")
    assert done.returncode == 0, done.stderr
    found = next_step(copied)
    for name, version in PINNED.items():
        assert f"Requirement already satisfied: {name}" in found.stdout
        assert [*copied.glob(f".venv/lib/*/site-packages/{name}-{version}+cpu.dist-info")]

    assert make(copied, "TORCH=cpu", nowhere).returncode == 0


@pytest.mark.parametrize("target", ["run", "test", "check", "docs"])
def test_the_index_is_that_of_the_build(copied: Path, target: str) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", target, "TORCH=cpu"],
        cwd=copied,
        env=alone(),
        capture_output=True,
        text=True,
        check=True,
    )
    install = shown.stdout.splitlines()[1]
    assert install.startswith('test -z "cpu" || .venv/bin/pip install ')
    assert '--index-url "https://download.pytorch.org/whl/cpu" torch torchvision' in install
