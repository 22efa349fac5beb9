"""Downloads of files with a checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cifar_exp.components.datasets.source import DataError
from cifar_exp.system.shared import share, shared_file, shared_folder

if TYPE_CHECKING:
    from pathlib import Path

    from cifar_exp.components.datasets.source import Progress

TIMEOUT_SECONDS = 30
BYTES_AT_ONCE = 2**18


def downloaded(url: str, checksum: str, folder: Path, progress: Progress) -> Path:
    """Download a file into a folder, unless it exists with the right checksum.

    The file gets its name only when it is complete. A lock ensures that one process downloads it
    while others wait.

    Args:
        url: The address; its last part is the file name.
        checksum: The algorithm and the checksum, such as `sha256:` and 64 hex digits.
        folder: The destination folder.
        progress: Called with the number of bytes received.

    Raises:
        DataError: The download failed, or the checksum differs.
        OSError: The folder cannot be written.
    """
    import pooch  # noqa: PLC0415
    from filelock import FileLock  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    pooch.get_logger().setLevel("WARNING")
    file = folder / url.rpartition("/")[2]
    folder.parent.mkdir(parents=True, exist_ok=True)
    shared_folder(folder)
    try:
        with FileLock(shared_file(folder / f"{file.name}.lock")):
            pooch.retrieve(url, checksum, file.name, folder, downloader=_downloader(progress))
            share(file)
    except RequestException as error:
        raise _failure(url, file, _cause(error)) from error
    except ValueError as error:
        # The rest of the message is about pooch's internals.
        raise _failure(url, file, str(error).partition(". Deleted")[0]) from error
    return file


def _cause(error: BaseException) -> str:
    """Return the text of the innermost error; outer errors repeat it with the address."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)


def _failure(url: str, file: Path, reason: str) -> DataError:
    return DataError(
        f"Cannot download {url} ({reason}): try again, or fetch it on another machine and either "
        f"put it at {file} or set `path` to where it is."
    )


def _downloader(progress: Progress) -> object:
    from pooch import HTTPDownloader  # noqa: PLC0415

    # Compression added by the server would change the checksum.
    return HTTPDownloader(
        progressbar=_Bytes(progress),
        chunk_size=BYTES_AT_ONCE,
        timeout=TIMEOUT_SECONDS,
        headers={"Accept-Encoding": "identity"},
    )


class _Bytes:
    """Adapter of pooch's progress bar to `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._done = 0
        self._progress = progress

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total)
        self._progress("downloading (bytes)", self._done, self.total)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass
