"""Bars in a notebook."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

SECONDS_BETWEEN_UPDATES = 0.5


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    return Console().is_jupyter


class NotebookProgress(Progress):
    """Bars in the output of a cell, which a notebook draws in place.

    Rich itself needs ipywidgets for this, in the kernel and in the notebook's page.
    """

    def start(self) -> None:
        """Add the bars to the output of the cell."""
        from IPython.display import display

        self._shown = time.monotonic()
        self._handle: Any = display(self._table(), display_id=True)  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """Draw the bars for the last time."""
        self._handle.update(self._table())

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a bar, and draw all of them if they were not drawn lately."""
        super().update(task_id, **changes)
        if time.monotonic() > self._shown + SECONDS_BETWEEN_UPDATES:
            self._shown = time.monotonic()
            self._handle.update(self._table())

    def _table(self) -> Any:
        return self.make_tasks_table(self.tasks)
