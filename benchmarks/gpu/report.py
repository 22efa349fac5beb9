"""The table and the file of all rows."""

from __future__ import annotations

import datetime
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from benchmarks.figure import Figure, console_for_tables
from benchmarks.gpu.section import Missing, Row, Section
from cifar_exp.system.cores import available_cores

JSON_VARIABLE = "BENCHMARK_JSON"
"""The environment variable with the path of the results file."""


class Report:
    """Measures sections one after another and shows their rows.

    Args:
        budget: Seconds after which no section is started.
    """

    def __init__(self, budget: float) -> None:
        self._started = time.monotonic()
        self._budget = budget
        self._rows: list[Row] = []
        self._machine = machine()
        print(", ".join(f"{name} {value}" for name, value in self._machine.items()), flush=True)

    def add(self, section: Section) -> None:
        """Measure a section, if time is left; print and store its rows immediately."""
        rows = section.rows(self._budget - self._seconds())
        self._rows += rows
        for row in rows:
            value = row.reason if isinstance(row, Missing) else row.text
            print(f"[{self._seconds():.0f} s] {row.name}: {value}", flush=True)
        self._store()

    def show(self) -> int:
        """Print the table; return 1 if a ratio breaks its bound or a row is missing, else 0."""
        table = Table("figure", "value", "bound", "aim", "verdict", "detail")
        for row in self._rows:
            table.add_row(*_cells(row))
        console_for_tables().print(table)
        print(f"measured in {self._seconds():.0f} s")
        return int(any(isinstance(r, Missing) or (r.counts and not r.kept) for r in self._rows))

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _store(self) -> None:
        path = os.environ.get(JSON_VARIABLE)
        if path:
            rows = [_entry(row) for row in self._rows]
            content = {**self._machine, "seconds": self._seconds(), "figures": rows}
            Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """Return the conditions of the measurement: GPU, versions, date."""
    has_gpu = torch.cuda.is_available()
    return {
        "card": torch.cuda.get_device_name() if has_gpu else "none",
        "torch": torch.__version__,
        "CUDA": str(torch.version.cuda),
        "Python": platform.python_version(),
        "cores": str(available_cores()),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _cells(row: Row) -> tuple[str, ...]:
    if isinstance(row, Missing):
        return row.name, "", "", "", "not measured", row.reason
    return row.name, row.text, row.bound, row.aim_text, _verdict(row), row.detail


def _verdict(figure: Figure) -> str:
    return f"{figure.verdict}, aim reached" if figure.aim_reached else figure.verdict


def _entry(row: Row) -> Mapping[str, Any]:
    if isinstance(row, Missing):
        return {**asdict(row), "verdict": "not measured"}
    return {**asdict(row), "verdict": _verdict(row)}
