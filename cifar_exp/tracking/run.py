"""An open MLflow run."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import mlflow
from mlflow.entities import Metric, Param, RunInfo, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import Loss
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.components.plugins.plugin import Plugin
from cifar_exp.records import STATE, Point, TrialState
from cifar_exp.system.lazy_import import LazyModule
from cifar_exp.tracking.artifacts.predictions import log_predictions

if TYPE_CHECKING:
    from cifar_exp.tracking.artifacts import model as artifacts
else:  # it imports torch, which is not needed for reading
    artifacts = LazyModule("cifar_exp.tracking.artifacts.model")

Status = Literal["FINISHED", "KILLED", "FAILED"]
STATUS_OF: Mapping[str, Status] = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
PLUGINS = "plugins"
"""The folder of the artifacts that are plug-ins."""
PARAMS_PER_BATCH = 100  # this and the next three are limits of MLflow
METRICS_PER_BATCH = 1000
LONGEST_PARAM = 6000
LONGEST_TAG = 5000
EMPTY: Mapping[str, float] = MappingProxyType({})


class Run:
    """An open run; every method writes to it."""

    def __init__(
        self,
        client: mlflow.MlflowClient,
        info: RunInfo,
        logged: Mapping[str, float] = EMPTY,
        logged_epochs: int = 0,
    ) -> None:
        self.client = client
        self.info = info
        self.run_id: str = info.run_id
        self.logged = logged
        """The metrics that were written before an interruption."""
        self.logged_epochs = logged_epochs
        self._monitor: SystemMetricsMonitor | None = None

    @property
    def page(self) -> str:
        """The path of the run in MLflow's UI, after the `#`."""
        return f"/experiments/{self.info.experiment_id}/runs/{self.run_id}"

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params; numbers are formatted with `str`."""
        entities = [Param(name, param_text(value)) for name, value in params.items()]
        for start in range(0, len(entities), PARAMS_PER_BATCH):
            self.client.log_batch(self.run_id, params=entities[start : start + PARAMS_PER_BATCH])

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log metrics in one request."""
        self.client.log_batch(self.run_id, metrics=_metrics(metrics))

    def log_epochs(self, points: Sequence[Point]) -> None:
        """Log the metrics of epochs that were not written before an interruption.

        They are sent in as few requests as MLflow allows.
        """
        new = [point for point in points if point.epoch > self.logged_epochs]
        entities = [
            Metric(name, value, point.timestamp, point.epoch)
            for point in new
            for name, value in point.metrics.items()
        ]
        for start in range(0, len(entities), METRICS_PER_BATCH):
            self.client.log_batch(self.run_id, metrics=entities[start : start + METRICS_PER_BATCH])

    def monitor_system(self) -> None:
        """Record the load of this machine in the background until the run is closed.

        These are MLflow's system metrics, of all processes. A thread writes them, and a failed
        write ends it, not the training.
        """
        self._monitor = SystemMetricsMonitor(
            self.run_id, resume_logging=True, tracking_uri=self.client.tracking_uri
        )
        self._monitor.start()

    def log_dataset(self, data: Dataset) -> None:
        """Record the data set as the run's input, by name and fingerprint."""
        named = [artifacts.dataset_input(data)]
        try:
            self.client.log_inputs(self.run_id, named)
        except MlflowException:
            # MLflow checks whether the data set exists and then adds it. Another process may add it
            # in between, so one retry is enough.
            self.client.log_inputs(self.run_id, named)
        self.describe_data(data)

    def describe_data(self, data: Dataset) -> None:
        """Record the class names as a param, and the settings of the data set as tags.

        The settings may change while the data stays the same: a folder may be moved.
        """
        classes = Param("classes", param_text(", ".join(data.classes)))
        tags = [RunTag(name, text[:LONGEST_TAG]) for name, text in data.described.items()]
        self.client.log_batch(self.run_id, params=[classes], tags=tags)

    def log_model(self, network: Path, data: Dataset, loss: Loss) -> None:
        """Store the network in a file as the run's model; it maps uint8 images to logits."""
        artifacts.log_model(self.client, self.info, network, data, loss)

    def log_predictions(self, predictions: Predictions) -> None:
        """Store the predictions of the network on the test set."""
        log_predictions(self.client, self.run_id, predictions)

    def log_text(self, text: str, path: str) -> None:
        """Store a text as an artifact."""
        self.client.log_text(self.run_id, text, path)

    def log_folder(self, folder: str, path: str) -> None:
        """Store the files of a folder as artifacts under `path`."""
        self.client.log_artifacts(self.run_id, folder, path)

    def log_plugins(self, plugins: Iterable[Plugin]) -> None:
        """Store the files of plug-ins as artifacts; of files with the same name, with a hash."""
        with tempfile.TemporaryDirectory() as folder:
            for plugin in plugins:
                for name, source in plugin.files.items():
                    path = Path(folder) / name
                    path = path.with_stem(f"{path.stem}-{plugin.digest}") if path.exists() else path
                    path.write_bytes(source)
            if any(Path(folder).iterdir()):
                self.log_folder(folder, PLUGINS)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags in one request."""
        self.client.log_batch(self.run_id, tags=[RunTag(*item) for item in tags.items()])

    def end_training(
        self, state: TrialState, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Write the outcome of a training, its state last, and close the run.

        MLflow writes metrics before tags, so an interrupted attempt may have written metrics only.
        """
        new = {name: value for name, value in metrics.items() if self.logged.get(name) != value}
        outcome = [RunTag(*item) for item in {**tags, STATE: state}.items()]
        self.client.log_batch(self.run_id, metrics=_metrics(new), tags=outcome)
        self.end(STATUS_OF[state])

    def end(self, status: Status = "FINISHED") -> None:
        """Close the run."""
        if self._monitor is not None:
            self._monitor.finish()
        self.client.set_terminated(self.run_id, status)


def param_text(value: Any) -> str:
    """Return the text of a param's value; a very long one is its beginning and its SHA-256.

    MLflow would truncate it, so different values could become equal.
    """
    text = str(value)
    if len(text) <= LONGEST_PARAM:
        return text
    return f"{text[: LONGEST_PARAM - 80]}... sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _metrics(metrics: Mapping[str, float]) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, value, now, step=0) for name, value in metrics.items()]
