"""The command `export`: the trainings of an experiment for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cifar_exp.cli.parameters import cli, tracking_option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cifar_exp.report.export.training import ExportedTraining

    Write = Callable[[Sequence[ExportedTraining], Path], None]


@cli.command()
@click.argument("name")
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write logs of TensorBoard: a folder for each training with its curves and settings.",
)
@click.option(
    "--csv",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write trainings.csv (a line for each training) and curves.csv (one for each epoch).",
)
@tracking_option
def export(name: str, tensorboard: Path | None, csv: Path | None, tracking_uri: str | None) -> None:
    """Write the trainings of experiment NAME, read from MLflow only, for other programs.

    All trainings are written, also those that were pruned, failed or diverged, with their state. A
    folder must be new or empty. Single trainings have the NAME train.
    """
    from cifar_exp.system.new_folder import check_new

    folders = [folder for folder in (tensorboard, csv) if folder is not None]
    if not folders:
        raise click.UsageError("name a folder: --tensorboard DIR, --csv DIR or both")
    for folder in folders:
        check_new(folder)
    writers = _writers(tensorboard, csv)

    from cifar_exp import tracking
    from cifar_exp.sweep.trainings import read_trainings

    trainings = read_trainings(name, tracking.resolve_uri(tracking_uri))
    for folder, write in writers:
        _write(trainings, folder, write)


def _writers(tensorboard: Path | None, csv: Path | None) -> list[tuple[Path, Write]]:
    """Return a folder and what writes to it, for each option that is given."""
    from cifar_exp.errors import BadInput
    from cifar_exp.report.export.tables import write_tables

    writers: list[tuple[Path, Write]] = []
    if csv is not None:
        writers.append((csv, write_tables))
    if tensorboard is not None:
        try:
            from cifar_exp.report.export.tensorboard import write_tensorboard
        except ImportError as error:
            missing = f"needs a package: pip install 'cifar_exp[tensorboard]' ({error})"
            raise BadInput(f"--tensorboard {missing}") from None
        writers.append((tensorboard, write_tensorboard))
    return writers


def _write(trainings: Sequence[ExportedTraining], folder: Path, write: Write) -> None:
    """Write a folder, or nothing at all.

    Raises:
        BadInput: The folder cannot be created or written.
        Unavailable: The disk is full.
    """
    from cifar_exp.errors import BadInput, Unavailable
    from cifar_exp.sweep.disk_space import FULL
    from cifar_exp.system.formatting import counted
    from cifar_exp.system.new_folder import new_folder

    try:
        with new_folder(folder) as place:
            write(trainings, place)
    except OSError as error:
        kind = Unavailable if error.errno in FULL else BadInput
        raise kind(f"{folder} cannot be written: {error.strerror}") from error
    print(f"{counted(len(trainings), 'training')} written to {folder}")
