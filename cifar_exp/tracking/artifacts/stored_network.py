"""The stored model of a run or of a champion, read to classify images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.errors import BadInput
from cifar_exp.system.formatting import first_line
from cifar_exp.system.urls import without_credentials
from cifar_exp.tracking.artifacts.flavor import flavor
from cifar_exp.tracking.registry import CHAMPION, model_of
from cifar_exp.tracking.store.locations import present_location
from cifar_exp.tracking.store.server import StoreError

MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""The errors of MLflow if there is no such model, alias or run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredNetwork:
    """A trained network with what its images and outputs are."""

    network: torch.nn.Module
    """Maps uint8 images N x channels x size x size to float32 logits N x classes."""
    channels: int
    size: int
    classes: tuple[str, ...]
    loss: Loss
    """A loss with the map from these logits to probabilities."""


def read_champion(client: mlflow.MlflowClient, experiment: str) -> StoredNetwork:
    """Read the model with the alias `champion` of an experiment. This runs code of the model.

    Raises:
        BadInput: There is none, or its loss is of a plug-in that is not loaded.
        StoreError: It cannot be read.
    """
    try:
        version = client.get_model_version_by_alias(experiment, CHAMPION).version
        location = client.get_model_version_download_uri(experiment, version)
    except MlflowException as error:
        if error.error_code not in MISSING:
            raise StoreError(
                f"the registry of models cannot be read: {first_line(error)}"
            ) from None
        raise BadInput(
            f"the MLflow store {without_credentials(client.tracking_uri)} has no champion of "
            f"experiment {experiment!r}: `cifar-exp run` registers it at its end"
        ) from None
    return _read(client, location, f"the champion of {experiment}")


def read_network(client: mlflow.MlflowClient, run_id: str) -> StoredNetwork:
    """Read the stored model of a run. This runs code of the model.

    Raises:
        BadInput: There is no such run, it has no model, or its loss is of a plug-in that is not
            loaded.
        StoreError: It cannot be read.
    """
    try:
        model = model_of(client, client.get_run(run_id))
    except MlflowException as error:
        if error.error_code not in MISSING:
            raise StoreError(f"the run {run_id} cannot be read: {first_line(error)}") from None
        store = without_credentials(client.tracking_uri)
        raise BadInput(f"the MLflow store {store} has no run {run_id!r}") from None
    if model is None:
        raise BadInput(f"run {run_id} has no stored model")
    return _read(client, model.artifact_location, f"the model of run {run_id}")


def _read(client: mlflow.MlflowClient, location: str, subject: str) -> StoredNetwork:
    uri = client.tracking_uri
    with TemporaryDirectory() as folder:
        try:
            repository = get_artifact_repository(present_location(uri, location), uri)
            path = repository.download_artifacts("", folder)
            described = Model.load(path)
            network = flavor.load_model(path, map_location="cpu")
        except Exception as error:  # damaged files make torch raise many kinds
            raise StoreError(f"{subject} cannot be read: {first_line(error)}") from error
    return _described(network, described, subject)


def _described(network: torch.nn.Module, described: Model, subject: str) -> StoredNetwork:
    metadata: Mapping[str, Any] = described.metadata or {}
    if described.signature is None or "probabilities" not in metadata:
        raise StoreError(
            f"{subject} does not say how its loss computes probabilities, as an older version of "
            "cifar-exp, or another program, stored it; mlflow.pytorch.load_model loads it"
        )
    [images] = described.signature.inputs
    _, channels, size, _ = images.shape
    return StoredNetwork(
        network=network.eval(),
        channels=channels,
        size=size,
        classes=tuple(metadata["classes"]),
        loss=_loss(metadata["probabilities"], subject),
    )


def _loss(found: Mapping[str, Any], subject: str) -> Loss:
    """Return the loss that `probability_map` described."""
    settings = dict(found)
    name = settings.pop("loss")
    if name not in LOSSES:
        raise BadInput(
            f"{subject} computes probabilities by the loss {name!r}, which is not known: name the "
            "file of its plug-in with --plugin"
        )
    return LOSSES[name].model_validate(settings)
