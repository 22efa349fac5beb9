"""Conditions for reading any input as a definition."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cifar_exp.components.validation import DefinitionError
from cifar_exp.experiment import Experiment

SOURCE = "given.toml"
LONGEST_LINE = 2000
WATCHED = (
    "open",
    "import",
    "exec",
    "compile",
    "pickle.find_class",
    "ctypes.dlopen",
    "os.",
    "shutil.",
    "socket.",
    "subprocess.",
    "tempfile.",
)
"""Audit events, or prefixes of them, about code, files, processes or the network."""

_seen: list[str] | None = None


def read_or_refused(reading: Callable[[], Experiment]) -> str | None:
    """Return the error message about a definition, or None if it was read; no other outcome."""
    try:
        assert isinstance(reading(), Experiment)
    except DefinitionError as error:
        refusal = str(error)
    else:
        return None
    for line in refusal.split("\n"):
        assert line.startswith(f"{SOURCE}: "), line
        assert line.isprintable(), line
        assert len(line) <= LONGEST_LINE, line
    return refusal


@contextmanager
def nothing_touched() -> Iterator[None]:
    """Check that nothing is opened, imported, executed or connected to within the context."""
    global _seen  # noqa: PLW0603 - audit hooks cannot be removed, so there is only one
    if _seen is None:
        sys.addaudithook(_note)
    found: list[str] = []
    _seen = found
    try:
        yield
    finally:
        _seen = []
    assert found == []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _seen is not None and event.startswith(WATCHED):
        _seen.append(f"{event} {arguments}")
