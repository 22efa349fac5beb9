"""Names of files and folders, which on Linux may be any bytes.

Python reads bytes that are not UTF-8 as surrogates, which cannot be written to a database, a text
file or a terminal.
"""

from __future__ import annotations

import os
from pathlib import Path

from cifar_exp.errors import BadInput


def is_utf8(text: str) -> bool:
    """Return whether a name or a path is UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(text: str) -> str:
    r"""Return a name or a path for a message; bytes that are not UTF-8 are written like `\xe9`."""
    return os.fsencode(text).decode(errors="backslashreplace")


def utf8(path: Path) -> str:
    """Return a path as text that can be recorded.

    Raises:
        BadInput: The path is not UTF-8.
    """
    text = str(path)
    if not is_utf8(text):
        raise BadInput(
            f"the name of {readable(text)} is not UTF-8, and MLflow and Optuna cannot record it: "
            "rename the folder, or use another one"
        )
    return text
