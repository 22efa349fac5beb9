"""A new folder with files: it gets all of them or none, and no file is overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cifar_exp.errors import BadInput


def check_new(folder: Path) -> None:
    """Check that a folder is missing or empty.

    Raises:
        BadInput: It is not.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise BadInput(f"{folder} is not an empty folder, and nothing is overwritten")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder whose files are moved to `folder` at the end of the block, if it succeeds.

    Args:
        folder: Created if missing.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # An existing folder may be mounted: files cannot be moved into it from outside.
    place = folder if folder.exists() else folder.resolve().parent
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=place) as temporary:
        yield Path(temporary)
        folder.mkdir(exist_ok=True)
        for entry in Path(temporary).iterdir():
            entry.replace(folder / entry.name)
