"""Copies a stored MLflow model from the outbox to the server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path

from cifar_exp.tracking.store.stored_files import StoredModel

ORIGIN = "outbox_model_id"
"""Tag of a copy: the id of the model in the outbox."""


def place_copy(
    model: LoggedModel, server: mlflow.MlflowClient, run: mlflow.entities.Run, step: int
) -> LoggedModel:
    """Return the copy of a local model in a run on the server; it is created if it is missing."""
    copy = _only_copy(model, server, run) or server.create_logged_model(
        run.info.experiment_id,
        name=model.name,
        source_run_id=run.info.run_id,
        tags={**model.tags, ORIGIN: model.model_id},
        params=model.params,
        model_type=model.model_type,
    )
    outputs = run.outputs.model_outputs if run.outputs else []
    if copy.model_id not in [output.model_id for output in outputs]:
        server.log_outputs(run.info.run_id, [LoggedModelOutput(copy.model_id, step)])
    return copy


def fill_copy(
    model: LoggedModel, server: mlflow.MlflowClient, copy: LoggedModel, run_id: str
) -> None:
    """Send the files of a model to its copy; `MLmodel` names the copy and its run."""
    if copy.status == LoggedModelStatus.READY:
        return
    with _renamed(files(model), run_id, copy.model_id) as folder:
        repository = get_artifact_repository(copy.artifact_location, server.tracking_uri)
        repository.log_artifacts(str(folder))
    server.finalize_logged_model(copy.model_id, LoggedModelStatus.READY)


def files(model: LoggedModel) -> Path:
    """Return the folder of a model on this machine."""
    return Path(local_file_uri_to_path(model.artifact_location))


def _only_copy(
    model: LoggedModel, server: mlflow.MlflowClient, run: mlflow.entities.Run
) -> LoggedModel | None:
    """Return the oldest copy in a run and delete others, which delayed requests have created."""
    copies = server.search_logged_models(
        [run.info.experiment_id], f"tags.{ORIGIN} = '{model.model_id}'"
    )
    of_run = [copy for copy in copies if copy.source_run_id == run.info.run_id]
    by_age = sorted(of_run, key=lambda copy: copy.creation_timestamp)
    for other in by_age[1:]:
        StoredModel(server, other.model_id, other.artifact_location).delete()
    return by_age[0] if by_age else None


@contextmanager
def _renamed(source: Path, run_id: str, model_id: str) -> Iterator[Path]:
    """Yield a temporary copy of a model's files in which `MLmodel` names another run and model."""
    with TemporaryDirectory() as temporary_folder:
        folder = Path(temporary_folder) / "model"
        shutil.copytree(source, folder)
        metadata = Model.load(str(folder))
        metadata.run_id, metadata.model_id = run_id, model_id
        metadata.save(str(folder / "MLmodel"))
        yield folder
