"""The model and the data set of a run."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import cloudpickle
import mlflow
import numpy as np
import numpy.typing as npt
import torch
from mlflow import entities
from mlflow.models import Model, ModelSignature
from mlflow.models.utils import SERVING_INPUT_FILENAME
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.types import Schema, TensorSpec

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import Loss
from cifar_exp.records import DIGEST_LENGTH
from cifar_exp.tracking.artifacts.flavor import flavor
from cifar_exp.tracking.store.artifact_root import local_uri

logging.getLogger("mlflow.pytorch").setLevel(logging.ERROR)  # it warns about pickle at every call
REFUSED = re.compile(r"""[/:.%"']""")
"""The characters that MLflow refuses in the name of a model."""
SOFTMAX: Mapping[str, object] = {"loss": "cross_entropy"}
"""The map of all losses that use the softmax, whose names need not be known to compute it."""


def log_model(
    client: mlflow.MlflowClient, run: entities.RunInfo, network: Path, data: Dataset, loss: Loss
) -> str:
    """Store the network in a file as the MLflow model of a run; return the model's id.

    The network takes uint8 images N x C x H x W as in the data set, and returns float32 logits
    N x classes; the metadata has the map of the loss to probabilities. Loading the file runs code,
    so it must come from a trainer of this sweep.

    MLflow's own `Model.log` does the same, but it also reads the history of every metric of the
    run, one request each, to find values at step 0. There are none.
    """
    logged = client.create_logged_model(
        run.experiment_id, name=model_name(run.run_name), source_run_id=run.run_id
    )
    client.log_outputs(run.run_id, [entities.LoggedModelOutput(logged.model_id, step=0)])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model = torch.load(network, map_location="cpu", weights_only=False)
        described = Model(
            run_id=run.run_id,
            model_id=logged.model_id,
            metadata={**data_description(data), "probabilities": probability_map(loss)},
        )
        _save(model, described, path, data)
        repository = get_artifact_repository(logged.artifact_location, client.tracking_uri)
        repository.log_artifacts(str(path))
    client.finalize_logged_model(logged.model_id, entities.LoggedModelStatus.READY)
    return str(logged.model_id)


def model_name(run: str) -> str:
    """Return the name of the model of a run: that of the run, with `_` for refused characters.

    It is without `#`, so that MLflow finds it as `runs:/<run id>/<name>`.
    """
    return REFUSED.sub("_", run.replace("#", ""))


def probability_map(loss: Loss) -> dict[str, object]:
    """Return a loss, by name and settings, whose map from logits to probabilities is the same."""
    return dict(SOFTMAX) if loss.is_softmax else {"loss": loss.name, **loss.model_dump(mode="json")}


def data_description(data: Dataset) -> dict[str, object]:
    """Return what a stored model says of its data: name, settings, and the class of each logit."""
    return {"dataset": data.name, **data.described, "classes": list(data.classes)}


def dataset_input(data: Dataset) -> entities.DatasetInput:
    """Return a data set as an MLflow input: name, fingerprint and sizes, without images."""
    profile = {
        "train": len(data.train.labels),
        "val": len(data.val.labels),
        "test": len(data.test.labels),
        "classes": data.num_classes,
        "class_names": data.classes,
        "fingerprint": data.fingerprint,
    }
    dataset = entities.Dataset(
        name=data.name,
        digest=data.fingerprint[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": local_uri(data.path)}),
        profile=json.dumps(profile),
    )
    return entities.DatasetInput(dataset, [entities.InputTag("mlflow.data.context", "training")])


def _save(model: torch.nn.Module, metadata: Model, path: Path, data: Dataset) -> None:
    flavor.save_model(
        model,
        path=str(path),
        mlflow_model=metadata,
        signature=_signature(data),
        input_example=_example(data),
        pip_requirements=_requirements(),
        serialization_format="pickle",
        pickle_module=flavor.mlflow_pytorch_pickle_module,
    )
    _without_indentation(path / SERVING_INPUT_FILENAME)


def _without_indentation(file: Path) -> None:
    """Shorten a JSON file, in which MLflow writes each pixel to a line of its own."""
    file.write_text(json.dumps(json.loads(file.read_text())))


def _signature(data: Dataset) -> ModelSignature:
    """Return the shapes of images and logits, without names: named tensors come as a dict.

    MLflow's flavor for torch takes no dict.
    """
    images = TensorSpec(np.dtype("uint8"), (-1, data.channels, data.size, data.size))
    logits = TensorSpec(np.dtype("float32"), (-1, data.num_classes))
    return ModelSignature(inputs=Schema([images]), outputs=Schema([logits]))


def _example(data: Dataset) -> npt.NDArray[np.uint8]:
    """Return one black image as an input: no image of the data set leaves it with the model."""
    return np.zeros((1, data.channels, data.size, data.size), np.uint8)


def _requirements() -> list[str]:
    return [
        f"torch=={torch.__version__.partition('+')[0]}",
        f"cloudpickle=={cloudpickle.__version__}",
    ]
