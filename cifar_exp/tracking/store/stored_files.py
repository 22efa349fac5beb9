"""The stored files of runs and models: size and deletion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS
from mlflow.utils.uri import is_local_uri

from cifar_exp.tracking.store.locations import may_be_deleted, present_location


class Files:
    """The files of a run or a model, in one folder of the artifact store."""

    def __init__(self, client: mlflow.MlflowClient, location: str) -> None:
        uri = client.tracking_uri
        self._location = present_location(uri, location)
        self._uri = uri
        self._repository: ArtifactRepository = get_artifact_repository(self._location, uri)

    def num_bytes(self) -> int:
        """Return the total size in bytes."""
        return sum(self._sizes(None))

    @property
    def may_be_deleted(self) -> bool:
        """Whether the files belong to this store alone."""
        return may_be_deleted(self._uri, self._location)

    def delete(self) -> bool:
        """Delete the files if they belong to this store alone; return whether they do.

        Missing files are ignored.
        """
        if not self.may_be_deleted:
            return False
        self._repository.delete_artifacts()
        return True

    def _sizes(self, folder: str | None) -> Iterator[int]:
        for entry in self._repository.list_artifacts(folder):
            if entry.is_dir:
                yield from self._sizes(entry.path)
            else:
                yield entry.file_size or 0


class StoredModel:
    """A model stored in MLflow, with its files."""

    def __init__(self, client: mlflow.MlflowClient, model_id: str, location: str) -> None:
        self.files = Files(client, location)
        self._client = client
        self._id = model_id

    def delete(self) -> None:
        """Delete the files, which MLflow itself would keep until `mlflow gc`, and then the model.

        In this order, a model whose deletion was interrupted can be found again. A model whose
        files do not belong to this store alone is kept, so that `gc` counts it.
        """
        if self.files.delete():
            self._client.delete_logged_model(self._id)


def stored_model(client: mlflow.MlflowClient, model_id: str) -> StoredModel | None:
    """Return a model; None if it is deleted, or in MLflow's registry: a user has chosen it."""
    model = logged_model(client, model_id)
    if model is None or MLFLOW_MODEL_VERSIONS in model.tags:
        return None
    return StoredModel(client, model_id, model.artifact_location)


def stored_models(client: mlflow.MlflowClient, run: MlflowRun) -> list[StoredModel]:
    """Return the models of a run, except those in MLflow's registry."""
    outputs = run.outputs.model_outputs if run.outputs else []
    found = [stored_model(client, output.model_id) for output in outputs]
    return [model for model in found if model is not None]


def artifact_folder(client: mlflow.MlflowClient, mlflow_experiment_id: str) -> Path | None:
    """Return the local folder of an experiment's artifacts; None if they are stored elsewhere."""
    location = client.get_experiment(mlflow_experiment_id).artifact_location
    return Path(local_file_uri_to_path(location)) if is_local_uri(location) else None


def logged_model(client: mlflow.MlflowClient, model_id: str) -> mlflow.entities.LoggedModel | None:
    """Return what MLflow knows of a model; None if it is deleted."""
    try:
        return client.get_logged_model(model_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None  # deleted
        raise
