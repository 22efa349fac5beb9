"""Standard output and standard error, to which writing never fails.

A sweep must not end because the reader of a pipe has ended, a terminal was closed, a disk is full,
or an encoding lacks a character.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SPELLED = {"±": "+-", "→": "->", "…": "..."}
"""Characters for an encoding that lacks them; others become `\\xe9` or `\\u20ac`."""
ERRORS = "cifar_exp.spelled"
"""The error handler of Python's codecs that does so."""


def protect_streams() -> None:
    """Replace `sys.stdout` and `sys.stderr` by streams that never raise an error."""
    _open_missing()
    sys.stdout = _protected(sys.stdout)
    sys.stderr = _protected(sys.stderr)


def loss() -> OSError | None:
    """Return why a part of standard output is lost; None also if its reader has ended."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, Stream) and not raw.is_abandoned else None


def spelled(text: str, encoding: str) -> str:
    """Return a text as it appears in an encoding, which may lack some of its characters."""
    return text.encode(encoding, ERRORS).decode(encoding)


class Stream(io.RawIOBase):
    """Writes to another stream; what cannot be written is lost.

    Every write is tried, as a full disk may have space again.

    Args:
        raw: The other stream.
        owner: An object that would close `raw` if it was freed.
    """

    def __init__(self, raw: io.RawIOBase, owner: object = None) -> None:
        self._raw = raw
        self._owner = owner
        self.error: OSError | None = None
        """The first error."""

    @property
    def is_abandoned(self) -> bool:
        """Whether the reader of a pipe has ended, such as `head`, which has read enough."""
        return self.error is not None and self.error.errno == errno.EPIPE

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the other stream."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Return whether the other stream is a terminal."""
        return self._raw.isatty()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes and return their number, also if they are lost."""
        try:
            while (written := self._raw.write(data)) is None:  # another program set O_NONBLOCK
                select.select([], [self], [])
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes
        return written


def _open_missing() -> None:
    """Open closed standard descriptors, so that no database gets their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number


def _protected(stream: TextIO | None) -> TextIO:
    if stream is None:  # it was closed when Python started
        return Path(os.devnull).open("w", encoding="utf-8")
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    if not isinstance(raw, io.RawIOBase):  # not a file: a notebook or a test
        return stream
    buffered = io.BufferedWriter(Stream(raw, owner=stream))
    return io.TextIOWrapper(buffered, stream.encoding, ERRORS, line_buffering=True)


def _spell(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    escaped = (SPELLED.get(c, c).encode("ascii", "backslashreplace").decode() for c in missing)
    return "".join(escaped), error.end


codecs.register_error(ERRORS, _spell)
