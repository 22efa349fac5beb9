"""The official files of a data set: where they are, and their checksums."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifar_exp.components.datasets.download import downloaded
from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.formatting import listed
from cifar_exp.system.shared import share, shared_folder

if TYPE_CHECKING:
    from pathlib import Path

    from cifar_exp.components.datasets.source import Progress

BYTES_AT_ONCE = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialFile:
    """A file as its maker published it.

    Attributes:
        url: Address of the download; its last part is the file name.
        md5: The published checksum, 32 hex digits.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        """The file name."""
        return self.url.rpartition("/")[2]


def official_files(
    name: str,
    files: Sequence[OfficialFile],
    path: Path | None,
    downloads: Path,
    progress: Progress,
) -> list[Path]:
    """Return the verified official files of a data set, in their order.

    Args:
        name: The data set; its files are downloaded into a folder of this name.
        files: The files.
        path: The folder that contains them, or the file if there is one; None to download them.
        downloads: The folder for downloads, and for the SHA-256 of files that were read.
        progress: Called with the progress.

    Raises:
        DataError: A file is missing, unreadable or not the official one.
        OSError: The folder for downloads cannot be written.
    """
    downloads.parent.mkdir(parents=True, exist_ok=True)
    shared_folder(downloads)
    found = []
    for file in files:
        place = (
            downloaded(file.url, f"md5:{file.md5}", downloads / name, progress)
            if path is None
            else _place(file, files, path)
        )
        check(file, place, downloads)
        found.append(place)
        progress("checking archives", len(found), len(files))
    return found


def _place(file: OfficialFile, files: Sequence[OfficialFile], path: Path) -> Path:
    if path.is_file() and len(files) == 1:
        return path
    if not (path / file.name).is_file():
        names = listed(each.name for each in files)
        raise DataError(
            f"{path} does not exist or does not contain {file.name}: set `path` to the folder "
            f"with {names}, or leave it out to download {'it' if len(files) == 1 else 'them'}."
        )
    return path / file.name


def check(file: OfficialFile, place: Path, seen: Path) -> None:
    """Check the MD5 of a file, and that its SHA-256 is that of the first time it was read.

    MD5 does not protect against a file that was forged to have it, so the SHA-256 of the first file
    with the right MD5 is kept in the folder `seen`, and later ones must have it too.

    Raises:
        DataError: The file cannot be read, or is another one.
    """
    md5, sha256, size = _checksums(place)
    if md5 != file.md5:
        raise DataError(
            f"{place} is not the official {file.name} (MD5 expected {file.md5}, found {md5}, "
            f"{size} bytes): fetch it again from {file.url}."
        )
    kept = seen / f"{file.md5}.sha256"
    if not kept.exists():
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_text(sha256, encoding="ascii")
        share(partial)
        partial.replace(kept)
    expected = kept.read_text(encoding="ascii", errors="replace")
    if sha256 != expected:
        raise DataError(
            f"{place} has the MD5 of the official {file.name} but is not the file that was read "
            f"first (SHA-256 expected {expected}, found {sha256}): one of them is forged; if it "
            f"is the first one, delete {kept}."
        )


def _checksums(place: Path) -> tuple[str, str, int]:
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    try:
        with place.open("rb") as handle:
            while block := handle.read(BYTES_AT_ONCE):
                md5.update(block)
                sha256.update(block)
                size += len(block)
    except OSError as error:
        raise DataError(
            f"Cannot read {place} ({error.strerror}): give this user access to it."
        ) from error
    return md5.hexdigest(), sha256.hexdigest(), size
