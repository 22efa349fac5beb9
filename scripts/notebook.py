"""Executes docs/notebook.ipynb in an empty folder, and stores it with its outputs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def executed(folder: Path) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of an execution in a folder.

    Raises:
        CellExecutionError: A cell fails.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    return NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        result = executed(Path(name))
    nbformat.write(result, NOTEBOOK)  # type: ignore[no-untyped-call]
