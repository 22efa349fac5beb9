"""What a command says about its data: the size of each split, changes, and warnings."""

from __future__ import annotations

import sys

from rich.console import Console

from cifar_exp.components.datasets import Dataset, data_warnings
from cifar_exp.display.line import print_line
from cifar_exp.system.formatting import counted


def print_data(console: Console, data: Dataset) -> None:
    """Print images and classes of each split and changes to stdout, and warnings to stderr."""
    parts = [
        f"{counted(len(split), f'{name} image')} of {counted(split.num_classes, 'class')}"
        for name, split in data.splits.items()
    ]
    text = f"{data.name}, {data.size} x {data.size}: {', '.join(parts)}"
    print_line(console, text)
    for note in data.notes:
        print_line(console, note)
    for warning in data_warnings(data):
        print(f"warning: {warning}", file=sys.stderr)
