"""Classes and probabilities of image files, by a stored model."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cifar_exp import tracking
from cifar_exp.components.datasets.images.decoding import (
    UnreadableImage,
    decoded,
    pillow_silenced,
    unreadable,
)
from cifar_exp.display import console
from cifar_exp.display.table import print_table
from cifar_exp.errors import BadInput
from cifar_exp.system.formatting import printable
from cifar_exp.tracking.artifacts.stored_network import (
    StoredNetwork,
    read_champion,
    read_network,
)

IMAGES_AT_ONCE = 64
HEADERS = ("image", "rank", "class", "probability")
GREY, COLOUR = 1, 3
"""Channels."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The most probable classes of an image, in order, with their probabilities."""

    image: str
    classes: Sequence[tuple[str, float]]

    def rows(self) -> list[tuple[str, int, str, float]]:
        """Return one row per class, as in HEADERS."""
        return [
            (printable(self.image), rank, name, probability)
            for rank, (name, probability) in enumerate(self.classes, start=1)
        ]


def predict(
    images: Sequence[Path],
    *,
    experiment: str | None,
    run_id: str | None,
    tracking_uri: str | None,
    form: str,
    top: int,
) -> None:
    """Print the most probable classes of images.

    Args:
        images: The files.
        experiment: The experiment whose champion is used, unless a run is given.
        run_id: The run whose model is used.
        tracking_uri: The MLflow store; default: MLFLOW_TRACKING_URI, or `mlflow.db` in this folder.
        form: The format to print: `table`, `csv` or `json`.
        top: The number of classes of each image, at most.

    Raises:
        BadInput: There is no such model or file.
        DataError: Files cannot be read as images.
        StoreError: The store or the model cannot be read.
    """
    _check_files(images)
    uri = tracking.resolve_uri(tracking_uri)
    client = tracking.connect_to_read(uri)
    if run_id is None:
        stored = read_champion(client, str(experiment))
    else:
        stored = read_network(client, run_id)
    paths = [str(path) for path in images]
    found = [
        prediction
        for start in range(0, len(paths), IMAGES_AT_ONCE)
        for prediction in _classified(stored, paths[start : start + IMAGES_AT_ONCE], top)
    ]
    PRINT[form](found)


def _check_files(images: Sequence[Path]) -> None:
    for path in images:
        shown = printable(str(path))
        if path.is_dir():
            raise BadInput(f"{shown} is a folder: name its images, such as {shown}/*.jpg")
        if not path.exists():
            raise BadInput(f"there is no image {shown}")


def _classified(stored: StoredNetwork, paths: Sequence[str], top: int) -> list[Prediction]:
    images = torch.from_numpy(_decoded(paths, stored)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = stored.network(images).double()
    probabilities = stored.loss.probabilities(logits)
    # By logits, as in the metrics: probabilities become equal by rounding earlier.
    order = logits.argsort(dim=1, descending=True, stable=True)[:, :top]
    return [
        Prediction(path, [(stored.classes[c], float(row[c])) for c in classes.tolist()])
        for path, row, classes in zip(paths, probabilities, order, strict=True)
    ]


def _decoded(paths: Sequence[str], stored: StoredNetwork) -> NDArray[np.uint8]:
    """Return images as N x H x W x channels, decoded and resized like those of a folder.

    Raises:
        BadInput: The model takes neither grey nor RGB images.
        DataError: Files cannot be read as images.
    """
    if stored.channels not in (GREY, COLOUR):
        raise BadInput(f"the model takes images of {stored.channels} channels, not grey or RGB")
    images, damaged = [], []
    with pillow_silenced():
        for path in paths:
            try:
                images.append(decoded(path, stored.size, grey=stored.channels == GREY))
            except UnreadableImage as image:
                damaged.append(image)
    if damaged:
        raise unreadable(damaged)
    return np.stack(images)


def _print_table(predictions: Sequence[Prediction]) -> None:
    rows = [
        (image, str(rank), name, f"{probability:.4f}")
        for prediction in predictions
        for image, rank, name, probability in prediction.rows()
    ]
    print_table(console.stdout(), "classes", HEADERS, rows, left="class")


def _print_csv(predictions: Sequence[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEADERS)
    for prediction in predictions:
        writer.writerows(prediction.rows())


def _print_json(predictions: Sequence[Prediction]) -> None:
    document = [
        {
            "image": printable(prediction.image),
            "classes": [{"class": name, "probability": p} for name, p in prediction.classes],
        }
        for prediction in predictions
    ]
    print(json.dumps(document, indent=2, ensure_ascii=False))


PRINT: Mapping[str, Callable[[Sequence[Prediction]], None]] = {
    "table": _print_table,
    "csv": _print_csv,
    "json": _print_json,
}
