"""Writing to standard output and error never fails, whatever they are."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_exp.system.output import ERRORS, Stream, spelled

WRITING = """
import os, sys
from cifar_exp.system import output
output.protect_streams()
for _ in range(3):
    print("line of output", flush=True)
    print("line of errors", file=sys.stderr)
opened = os.open(os.devnull, os.O_RDONLY)
error = output.loss()
os.write(int(sys.argv[1]), f"{opened > 2} {error and error.strerror}".encode())
"""


@pytest.mark.parametrize(
    ("redirection", "lost"),
    [
        ("", None),
        (">&-", None),
        ("2>&-", None),
        ("<&- >&- 2>&-", None),
        (">/dev/full", "No space left on device"),
        ("2>/dev/full", None),
        ("1</dev/null", "Bad file descriptor"),
        ("| true", None),
        ("2>&1 | head -1", None),
    ],
)
def test_a_program_goes_on_whatever_happens_to_its_output(
    tmp_path: Path, redirection: str, lost: str | None
) -> None:
    """A descriptor that was closed is opened: a database must not get its number."""
    command = f'{{ "$0" -c "$1" 9 {redirection}; }} 9>"$2"'
    words = ["sh", "-c", command, sys.executable, WRITING, str(tmp_path / "report")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report").read_text() == f"True {lost}"


def test_output_that_another_program_made_non_blocking_is_complete() -> None:
    """As Node does in CI: a full pipe then refuses bytes instead of waiting for its reader."""
    program = (
        "import os\n"
        "from cifar_exp.system import output\n"
        "output.protect_streams()\n"
        "os.set_blocking(1, False)\n"
        "print('x' * 1_000_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stdout), done.stderr) == (0, 1_000_001, "")


def test_a_disk_with_space_again_gets_further_lines() -> None:
    class Disk(io.RawIOBase):
        full = True
        content = b""

        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            if self.full:
                raise OSError(28, "No space left on device")
            self.content += bytes(data)
            return len(data)

    disk = Disk()
    stream = Stream(disk)
    assert stream.write(b"one") == 3
    disk.full = False
    assert stream.write(b"two") == 3
    assert disk.content == b"two"
    assert stream.error is not None


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("52 ± 5 → 1…", "ascii", "52 +- 5 -> 1..."),
        ("52 ± 5 → 1…", "latin-1", "52 ± 5 -> 1..."),
        ("52 ± 5 → 1…", "cp1252", "52 ± 5 -> 1…"),
        ("52 ± 5 → 1…", "utf-8", "52 ± 5 → 1…"),
        ("café €", "ascii", "caf\\xe9 \\u20ac"),
        ("caf\udce9", "utf-8", "caf\\udce9"),  # a file name that is not UTF-8
    ],
)
def test_a_character_that_an_encoding_lacks_is_spelled(
    text: str, encoding: str, shown: str
) -> None:
    assert spelled(text, encoding) == shown


@given(
    st.text(st.characters(codec=None)),
    st.sampled_from(["ascii", "latin-1", "cp1252", "cp437", "koi8-r", "shift_jis", "utf-8"]),
)
def test_every_text_can_be_written_in_every_encoding(text: str, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding, ERRORS)
    stream.write(text)
    stream.flush()
    assert all(ord(c) < 0x80 for c in spelled(text, "ascii"))
