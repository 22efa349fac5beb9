"""What a command does where its output cannot be written, or is written to a terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from cifar_exp.display import console
from cifar_exp.display.progress import data_progress, sweep_progress
from cifar_exp.sweep.events import Event
from tests.command import Cli

CURSOR_UP = "\x1b[1A"
ENDED = Event(
    study="mse+sgd", kind="trial", number=0, epoch=4, epochs=4, state="COMPLETE", val_accuracy=0.5
)
LINE = "[1/2] mse+sgd trial 0: val 50.00% (best 50.00%)"


def redirect(patch: pytest.MonkeyPatch, target: Path | int, encoding: str = "utf-8") -> None:
    file = open(target, "w", encoding=encoding)  # noqa: PTH123, SIM115 - or a file descriptor
    patch.setattr(sys, "stdout", file)


# Files, pipes, encodings.


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(
    ("encoding", "sign"), [("ascii", "+-"), ("latin-1", "±"), ("cp1252", "±"), ("utf-8", "±")]
)
def test_a_ranking_is_printed_in_every_encoding_and_written_in_utf_8(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encoding: str, sign: str
) -> None:
    redirect(monkeypatch, tmp_path / "out", encoding)
    assert cli("compare", "tiny", "--output", tmp_path / "files").code == 0
    assert f"\n{sign} is the 95 % t interval" in (tmp_path / "out").read_text(encoding)
    assert "± is the 95 % t interval" in (tmp_path / "files/ranking.md").read_text("utf-8")


@pytest.mark.usefixtures("swept")
@pytest.mark.parametrize(("words", "code"), [(["compare", "tiny"], 3), (["doctor", "tiny"], 0)])
def test_a_full_disk_fails_only_the_commands_whose_result_is_their_output(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    redirect(monkeypatch, Path("/dev/full"))
    shown = cli(*words)
    assert shown.code == code
    assert "standard output is incomplete: No space left on device" in shown.err


@pytest.mark.parametrize("words", [["list", "losses"], ["--help"]])
def test_a_reader_that_has_read_enough_is_no_failure(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    redirect(monkeypatch, theirs)
    assert cli(*words)[::2] == (0, "")


def test_colours_that_are_asked_for_move_no_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in CI, where FORCE_COLOR is set and the output is a pipe."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    show_progress()
    console.stdout().print("[red]red")
    monkeypatch.setenv("NO_COLOR", "1")
    console.stdout().print("[red]plain")
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["decoding", LINE, "\x1b[31mred\x1b[0m", "plain"]


def show_progress() -> None:
    """Show what a command shows while it prepares data and trains."""
    screen = console.stdout()
    with data_progress(screen) as step:
        step("decoding", 1, 1)
    with sweep_progress(screen, 2, 1) as watch:
        watch(ENDED)


# Terminals.


class Terminal:
    """A terminal, and what was written to it."""

    def __init__(self, patch: pytest.MonkeyPatch, width: int, kind: str) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        redirect(patch, theirs)
        patch.setattr(sys, "__stdout__", sys.stdout)
        patch.setenv("TERM", kind)
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
            patch.delenv(name, raising=False)

    def close(self) -> None:
        os.close(self._ours)

    def shown(self) -> str:
        os.set_blocking(self._ours, False)
        content = b""
        with suppress(BlockingIOError):  # everything is read
            while True:
                content += os.read(self._ours, 2**16)
        return content.decode()


def test_a_terminal_without_cursor_movement_gets_lines_of_its_width(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(monkeypatch, 60, "dumb")
    show_progress()
    assert console.stdout().width == 60
    assert terminal.shown().splitlines() == ["decoding", LINE]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_gets_a_live_display(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    terminal = Terminal(monkeypatch, 100, "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    show_progress()
    shown = terminal.shown()
    assert CURSOR_UP in shown
    assert ("\x1b[3" in shown.replace("\x1b[3m", "")) is (not no_color)


def test_a_command_goes_on_after_its_terminal_was_closed(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With nohup or `disown`; every write to the terminal then fails."""
    monkeypatch.setenv("CIFAR_EXP_OUTBOX", str(tmp_path))
    Terminal(monkeypatch, 100, "xterm-256color").close()
    shown = cli("deliver")
    assert shown.code == 0
    assert shown.last == "standard output is incomplete: Input/output error"
