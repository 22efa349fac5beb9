"""A temporary folder for a benchmark."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from cifar_exp.system import paths


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """Use a temporary folder as current folder and cache, so that nothing is written elsewhere."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        patch.dict(
            os.environ,
            {
                paths.CACHE_VARIABLE: str(Path(folder) / "cache"),
                paths.OUTBOX_VARIABLE: str(Path(folder) / "outbox"),
            },
        ),
    ):
        yield Path(folder)
