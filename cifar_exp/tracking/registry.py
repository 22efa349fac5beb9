"""The champion of a sweep in MLflow's registry of models.

The run of the sweep names the champion in its tags. The outbox of a server registers nothing: its
push does so on the server, when it has delivered the run of the sweep.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import mlflow
from mlflow.entities import LoggedModel
from mlflow.entities import Run as MlflowRun
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from cifar_exp.system import fault_injection
from cifar_exp.system.formatting import first_line
from cifar_exp.tracking.store.search import pages, quoted
from cifar_exp.tracking.store.stored_files import logged_model

CHAMPION = "champion"
"""The alias of the registered version, and the tag of a sweep's run with the id of its run."""
PREFIX = f"{CHAMPION}."
"""Begins the tags of a sweep's run that become tags of the registered version."""
TEMPORARY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
"""Errors after which a request may succeed; MLflow uses the first also for a lost connection."""
EXISTS = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")


def champion_tags(run_id: str, description: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a sweep's run that name its champion."""
    return {CHAMPION: run_id, **{f"{PREFIX}{name}": text for name, text in description.items()}}


def register_champion(client: mlflow.MlflowClient, sweep_run_id: str) -> str | None:
    """Register the model of the champion that the run of a sweep names, with the alias `champion`.

    The name is that of the experiment. A model that is registered is not registered again, so this
    can be repeated after an interruption.

    Returns:
        The reason why it cannot be registered, as one sentence; None if it is registered, or
        without a champion.

    Raises:
        MlflowException: The store failed, and may succeed later.
    """
    sweep = client.get_run(sweep_run_id)
    run_id = sweep.data.tags.get(CHAMPION)
    if run_id is None:
        return None
    name = sweep.data.tags["experiment"]
    try:
        model = model_of(client, client.get_run(run_id))
        if model is None:
            return f"the champion of {name} is not registered: its run {run_id} has no stored model"
        _register(client, name, model, _version_tags(sweep))
    except MlflowException as error:
        if error.error_code in TEMPORARY:
            raise
        return not_registered(name, error)
    return None


def not_registered(name: str, error: Exception) -> str:
    """Return the sentence that the champion of an experiment is not registered, and why."""
    return f"the champion of {name} is not registered: {first_line(error)}"


def model_of(client: mlflow.MlflowClient, run: MlflowRun) -> LoggedModel | None:
    """Return the stored model of a run; None if it has none."""
    outputs = run.outputs.model_outputs if run.outputs else []
    models = (logged_model(client, output.model_id) for output in outputs)
    return next((model for model in models if model is not None), None)


def _version_tags(sweep: MlflowRun) -> dict[str, str]:
    found = {
        name.removeprefix(PREFIX): text
        for name, text in sweep.data.tags.items()
        if name.startswith(PREFIX)
    }
    return {**found, "sweep": str(sweep.info.run_id)}


def _register(
    client: mlflow.MlflowClient, name: str, model: LoggedModel, tags: Mapping[str, str]
) -> None:
    fault_injection.point("before_version")
    version = _existing(client, name, model) or _new(client, name, model)
    fault_injection.point("before_alias")
    _note_version(client, model.model_id, version)
    for tag, text in tags.items():
        if version.tags.get(tag) != text:
            client.set_model_version_tag(name, version.version, tag, text)
    client.set_registered_model_alias(name, CHAMPION, version.version)


def _existing(client: mlflow.MlflowClient, name: str, model: LoggedModel) -> ModelVersion | None:
    """Return the version of a model, the oldest if there are several."""
    versions = pages(client.search_model_versions, filter_string=f"name = {quoted(name)}")
    same = [version for version in versions if version.source == model.artifact_location]
    return min(same, key=lambda version: int(version.version), default=None)


def _new(client: mlflow.MlflowClient, name: str, model: LoggedModel) -> ModelVersion:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in EXISTS:
            raise
    # MLflow would look for the source `models:/<id>` in the store of its global tracking URI.
    return client.create_model_version(
        name,
        model.artifact_location,
        run_id=model.source_run_id,
        await_creation_for=0,
        model_id=model.model_id,
    )


def _note_version(client: mlflow.MlflowClient, model_id: str, version: ModelVersion) -> None:
    """Add a version to those of a model, as MLflow's own `register_model` does.

    Models that have versions are not deleted.
    """
    found = client.get_logged_model(model_id).tags.get(MLFLOW_MODEL_VERSIONS, "[]")
    known = {(each["name"], str(each["version"])): each for each in json.loads(found)}
    if (version.name, str(version.version)) not in known:
        new = {"name": version.name, "version": version.version}
        tags = {MLFLOW_MODEL_VERSIONS: json.dumps([*known.values(), new])}
        client.set_logged_model_tags(model_id, tags)
