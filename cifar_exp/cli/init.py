"""The command `init`: a definition to start with.

Imports are inside the command: the components take a moment to load, and `--help` must be fast.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cifar_exp.cli.parameters import ComponentName, cli, data_dir_option, plugin_option
from cifar_exp.errors import BadInput
from cifar_exp.system.names import readable

if TYPE_CHECKING:
    from cifar_exp.experiment.starter import Machine, Start

LONGEST_NAME = 64


@cli.command()
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@data_dir_option
@click.option("--dataset", type=ComponentName("datasets"), help="A named data set.")
@plugin_option
def init(file: Path | None, data_dir: Path | None, dataset: str | None) -> None:
    """Write a commented definition to start with.

    With --data-dir for a folder of images, whose classes and sizes are read; or with --dataset for
    a named data set. An existing FILE is never overwritten.
    """
    from cifar_exp.display import console
    from cifar_exp.display.line import print_line
    from cifar_exp.experiment import named, read
    from cifar_exp.experiment.starter import starter

    if dataset is None and data_dir is None:
        raise BadInput("name a folder of images with --data-dir, or a data set with --dataset")
    name = _name(file.stem if file else dataset or _folder_name(data_dir))
    path = file or Path(f"{name}.toml")
    _check_new(path)  # before the images are read, which may take minutes
    machine = _machine()
    start = _start(data_dir, dataset, machine)
    text = starter(name, start, machine, shlex.quote(str(path)))
    named.read(lambda: read(text, str(path)))
    _write(path, text)
    for sentence in start.left_out:
        print(f"warning: {sentence}", file=sys.stderr)
    screen = console.stdout()
    print_line(screen, f"written: {path}")
    for command in ("plan", "run"):
        print_line(screen, f"next: {shlex.join(['cifar-exp', command, str(path)])}")


def _machine() -> Machine:
    from cifar_exp.experiment.starter import Machine
    from cifar_exp.system.cores import available_cores

    # torch would know whether there is a GPU, but takes seconds to load
    return Machine(cores=available_cores(), has_gpu=shutil.which("nvidia-smi") is not None)


def _start(data_dir: Path | None, dataset: str | None, machine: Machine) -> Start:
    """Read the data that the options name.

    Raises:
        BadInput: They name an unknown or unsuitable one.
        DataError: A folder is not one of images.
    """
    from pydantic import ValidationError

    from cifar_exp.components.datasets import Folder
    from cifar_exp.components.validation import Options, problems_of
    from cifar_exp.experiment import starter
    from cifar_exp.experiment.variant import read_dataset

    name = dataset or Folder.name
    path = {} if data_dir is None else {"path": str(data_dir)}
    try:
        choice = read_dataset({"type": name, **path}).choice
    except ValidationError as error:
        words: Options = {("type",): "--dataset", ("path",): "--data-dir"}
        raise BadInput("\n".join(p.told("init", words) for p in problems_of(error))) from None
    if data_dir is not None and name == Folder.name:
        return starter.of_folder(data_dir, machine)
    return starter.of_dataset(choice, data_dir)


def _folder_name(path: Path | None) -> str:
    return "" if path is None else path.expanduser().absolute().name


def _name(text: str) -> str:
    """Return a name of an experiment that is like a text."""
    from cifar_exp.experiment.keys import SINGLE

    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", plain).strip("-._")[:LONGEST_NAME]
    return name if name not in ("", SINGLE) else "images"


def _check_new(path: Path) -> None:
    """Check that a file does not exist, and its folder does.

    Raises:
        BadInput: The file exists, or the folder does not.
    """
    if os.path.lexists(path):
        raise _exists(path)
    if not os.path.isdir(path.parent):  # noqa: PTH112 (`Path.is_dir` fails for a name too long)
        folder = readable(str(path.parent))
        raise BadInput(f"{readable(str(path))} cannot be written: there is no folder {folder}")


def _exists(path: Path) -> BadInput:
    return BadInput(f"{readable(str(path))} exists; name another file")


def _write(path: Path, text: str) -> None:
    """Write a new file.

    Raises:
        BadInput: It exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise BadInput(f"{readable(str(path))} cannot be written: {error.strerror}") from None
