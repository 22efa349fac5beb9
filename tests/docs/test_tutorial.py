"""The tutorial: every command works as written, in order, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import BLOCK, ROOT

PAGE = ROOT / "docs" / "tutorial.md"
VARYING = re.compile(r"[\d.±$()\s-]|\\pm|\b(to|yes|no|s|min|left)\b|(?<=─)─+")
"""What differs between machines: numbers, intervals, times, and the space between columns."""


def run(commands: str, folder: Path) -> str:
    """Run commands as a shell with the environment of the tests does; return what they print."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def lines(output: str) -> set[str]:
    return {VARYING.sub("", line) for line in output.splitlines()}


@pytest.mark.chaos
def test_the_commands_of_the_tutorial_print_what_it_shows(here: Path) -> None:
    page = PAGE.read_text("utf-8")
    printed = shown = 0
    output = ""
    for language, block in BLOCK.findall(page):
        if language == "sh":
            output = run(block, here)
            printed += 1
        elif language == "text" and output:
            assert lines(block) <= lines(output) | {""}, output
            shown += 1
        elif language in ("python", "toml"):
            (here / block.splitlines()[0].removeprefix("# ")).write_text(block, "utf-8")
    assert (printed, shown) == (4, 3)
    for name in re.findall(r"`((?:ranking|seeds|trials|report|figures/[\w-]+)\.\w+)`", page):
        assert (here / "paper" / name).is_file(), name
