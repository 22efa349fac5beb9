"""Searches in MLflow: how a value is quoted, and results that come in pages."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cifar_exp.errors import BadInput


def pages(search: Callable[..., Any], **query: Any) -> Iterator[Any]:
    """Give the results of a search one after another, from all of its pages."""
    token: str | None = None
    while True:
        with collecting_later():
            page = search(**query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def quoted(value: str) -> str:
    """Quote a value for a filter, which knows no escapes.

    Raises:
        BadInput: It holds both kinds of quotes.
    """
    if "'" in value and '"' in value:
        raise BadInput(f"MLflow cannot search for {value}, which holds both kinds of quotes")
    return f'"{value}"' if "'" in value else f"'{value}'"


@contextmanager
def collecting_later() -> Iterator[None]:
    """Look for garbage again when the block has ended.

    SQLAlchemy makes fifty objects a run, and each time their number has grown by some share
    Python looks through all of them in vain: half of the time that a thousand runs take to read.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
