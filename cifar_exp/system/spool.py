"""A queue between two threads with non-blocking writes and bounded memory."""

from __future__ import annotations

import pickle
import tempfile
import threading
from collections import deque
from typing import IO, Generic, TypeVar

Item = TypeVar("Item")


class Spool(Generic[Item]):
    """A FIFO queue; items beyond `most` are stored in a temporary file.

    Args:
        most: The largest number of items in memory.
    """

    def __init__(self, most: int) -> None:
        self._max_in_memory = most
        self._memory: deque[Item] = deque()
        self._file: IO[bytes] | None = None
        self._read_at = 0
        self._num_in_file = 0
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: Item) -> None:
        """Add an item without blocking.

        Raises:
            OSError: The temporary file cannot be written.
        """
        with self._changed:
            if self._num_in_file or len(self._memory) >= self._max_in_memory:
                self._write(item)
            else:
                self._memory.append(item)
            self._changed.notify()

    def take(self) -> list[Item]:
        """Wait for items and return those in memory; empty if the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._memory or self._closed)
            items = list(self._memory)
            self._memory.clear()
            self._refill()
            return items

    def close(self) -> None:
        """Close the queue: `take` returns the remaining items, then nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _write(self, item: Item) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is empty
        self._file.seek(0, 2)
        pickle.dump(item, self._file)
        self._num_in_file += 1

    def _refill(self) -> None:
        if self._file is None:
            return
        self._file.seek(self._read_at)
        while self._num_in_file and len(self._memory) < self._max_in_memory:
            self._memory.append(pickle.load(self._file))
            self._num_in_file -= 1
        self._read_at = self._file.tell()
        if not self._num_in_file:
            self._file.close()
            self._file, self._read_at = None, 0
