"""Pre-flight checks of a sweep: stores, data, and whether the definition fits the data."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from cifar_exp import tracking
from cifar_exp.components.data_changes import changed
from cifar_exp.components.datasets import Dataset, Progress, load, no_progress
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.precision import resolve
from cifar_exp.components.validation import DefinitionError
from cifar_exp.errors import BadInput
from cifar_exp.experiment import Experiment
from cifar_exp.experiment.ends import config_at
from cifar_exp.sweep.schedule.scheduler import max_workers, num_side_by_side
from cifar_exp.system import sqlite
from cifar_exp.system.formatting import counted, first_line
from cifar_exp.system.urls import store_name, without_credentials
from cifar_exp.training import hardware
from cifar_exp.training.group.stackable import is_stackable
from cifar_exp.training.hardware import device
from cifar_exp.training.untrained import initial_model

if TYPE_CHECKING:
    import torch

GPU_WIDTH = 64
"""Networks in a group on a GPU; more of them do not train faster."""


def check_stores(tracking_uri: str, storage_url: str) -> None:
    """Check both stores before anything is written.

    Raises:
        BadInput: They are the same database; MLflow and Optuna both use a version table of
            the same name.
        StoreError, Unavailable: A server does not respond, or a file cannot be written.
    """
    stores = (tracking_uri, storage_url)
    if len({(store_name(store), _schema(store)) for store in stores}) == 1:
        address = without_credentials(storage_url)
        raise BadInput(f"MLflow and Optuna need separate databases, but both are set to {address}")
    tracking.check_server(tracking_uri)
    for store in stores:
        sqlite.check_writable(store)


def _schema(store: str) -> str:
    """Return the options of a PostgreSQL address, which may name a schema of the database."""
    return dict(parse_qsl(store.partition("?")[2])).get("options", "")


def prepare(experiment: Experiment, progress: Progress = no_progress) -> Dataset:
    """Load the data of an experiment, and check that the definition fits it and this machine.

    Raises:
        DefinitionError: The network cannot take the images, a batch is too large, or the changes of
            the data do not fit them.
        DataError: The data is missing or cannot be read.
        Unavailable: This machine cannot compute in the definition's precision.
    """
    resolve(experiment.precision)
    data = load(experiment.dataset.choice, progress)
    if experiment.data_changes is not None:
        data = changed(data, experiment.dataset.choice, experiment.data_changes, progress)
    check_fit(experiment, data)
    return data


def check_fit(experiment: Experiment, data: Dataset) -> None:
    """Check that the network takes the images, and that no batch is larger than the split.

    Raises:
        DefinitionError: The network cannot take the images, a batch is too large, or class weights
            do not fit the classes.
    """
    available = len(data.train.labels)
    largest = max(experiment.search.batch_size)
    if largest > available:
        images = counted(available, "training image")
        message = f"search.batch_size: {largest} is more than the {images}"
        raise DefinitionError(message)
    for variant in experiment.losses.values():
        if LOSSES[variant.type].takes_cosines and experiment.model.head != "cosine":
            needed = 'a network whose last layer computes cosines: head = "cosine" in its table'
            raise DefinitionError(f"losses.{variant.name}: {variant.type} needs {needed}")
    try:
        network = initial_model(experiment.model, data, experiment.seed)
    except ValueError as error:
        raise DefinitionError(f"model: {error}") from None
    _check_optimizers(experiment, network)
    _check_class_weights(experiment, data)


def _check_optimizers(experiment: Experiment, network: torch.nn.Module) -> None:
    """Check that each optimizer can be made, at both ends of what is searched.

    The classes of libraries and plug-ins check their settings only when they are made.
    """
    batch_size = experiment.search.batch_size[0]
    for name, combination in {c.optimizer.name: c for c in experiment.combinations()}.items():
        for end in ("low", "high"):
            config = config_at(end, experiment, combination, batch_size)
            try:
                config.optimizer_settings.build(network, config.lr)
            except Exception as error:
                raise DefinitionError(f"optimizers.{name}: {first_line(error)}") from error


def _check_class_weights(experiment: Experiment, data: Dataset) -> None:
    """Check that a list of class weights has one for each class."""
    for name, loss in experiment.losses.items():
        weights = loss.settings.get("class_weights")
        if isinstance(weights, tuple) and len(weights) != data.num_classes:
            counts = f"{counted(len(weights), 'weight')} for {counted(data.num_classes, 'class')}"
            raise DefinitionError(f"losses.{name}.class_weights: {counts}")


def allotment(experiment: Experiment, workers: int | None, threads: int | None) -> tuple[int, int]:
    """Return the number of workers, of which each has something to do, and the threads of each."""
    wanted = None if workers is None else min(workers, max_workers(experiment))
    return hardware.allotment(num_side_by_side(experiment), wanted, threads)


def group_width(experiment: Experiment, data: Dataset, width: int | None) -> int:
    """Return how many networks a trainer trains together, at most.

    The default is 1 on a CPU and GPU_WIDTH on a GPU; it is never more than the trainings that can
    run at the same time. A network that cannot be stacked is trained alone.
    """
    wanted = width or (GPU_WIDTH if device().type == "cuda" else 1)
    chosen = min(wanted, max_workers(experiment))
    return chosen if chosen == 1 or _is_stackable(experiment, data) else 1


def trained_alone(experiment: Experiment, data: Dataset) -> list[str]:
    """Return the network, or else the optimizers, that have no form for groups."""
    if not _is_stackable(experiment, data):
        return [experiment.model.type]
    return [
        variant.name
        for variant in experiment.optimizers.values()
        if not OPTIMIZERS[variant.type].is_stackable(variant.settings)
    ]


def _is_stackable(experiment: Experiment, data: Dataset) -> bool:
    return is_stackable(experiment.model, data.channels, data.size, data.num_classes)


def model_bytes(experiment: Experiment, data: Dataset) -> int:
    """Return the size of one stored network in bytes."""
    model = initial_model(experiment.model, data, experiment.seed)
    return sum(p.numel() * p.element_size() for p in model.parameters())
