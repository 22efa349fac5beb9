"""File permissions that hold for root, too."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

VERSION_3 = 0x20080522
OVERRIDES = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, of Linux


@contextmanager
def without_root_rights() -> Iterator[None]:
    """Let this thread access only files that their permissions allow it, though it may be root."""
    if os.geteuid() != 0:
        yield
        return
    before = _capabilities()
    _set_capabilities([before[0] & ~OVERRIDES, *before[1:]])
    try:
        yield
    finally:
        _set_capabilities(before)


def _capabilities() -> list[int]:
    """Return effective, permitted and inheritable capabilities, the lower and the higher ones."""
    data = (ctypes.c_uint32 * 6)()
    _call("capget", data)
    return list(data)


def _set_capabilities(values: list[int]) -> None:
    _call("capset", (ctypes.c_uint32 * 6)(*values))


def _call(name: str, data: ctypes.Array[ctypes.c_uint32]) -> None:
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    try:
        failed = ctypes.CDLL(None)[name](header, data)
    except AttributeError:
        failed = True
    if failed:
        pytest.skip("root's rights cannot be given up here")
