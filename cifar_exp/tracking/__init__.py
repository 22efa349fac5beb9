"""Everything that uses MLflow: the store, the runs written to it, and the records read from it."""

from cifar_exp.records import Point
from cifar_exp.system.urls import is_server
from cifar_exp.tracking.artifacts.definition import DEFINITION_FILE, read_definition
from cifar_exp.tracking.artifacts.predictions import read_predictions
from cifar_exp.tracking.experiment_runs import ExperimentRuns
from cifar_exp.tracking.outbox.outbox import Outbox, every_outbox, outbox_of, store_of
from cifar_exp.tracking.outbox.relay import address, deliver, delivering, undelivered
from cifar_exp.tracking.project_run import inherited_run
from cifar_exp.tracking.registry import CHAMPION, champion_tags, register_champion
from cifar_exp.tracking.run import STATUS_OF, Run
from cifar_exp.tracking.runs_page import runs_page
from cifar_exp.tracking.store.connect import (
    Client,
    connect,
    connect_to_read,
    exists,
    relocate,
    resolve_uri,
)
from cifar_exp.tracking.store.epochs import read_epochs
from cifar_exp.tracking.store.history import read_accuracies, read_curves
from cifar_exp.tracking.store.records import (
    deleted_runs,
    experiments,
    files_of_deleted_runs,
    read_records,
    read_sweeps,
    record_of,
)
from cifar_exp.tracking.store.repeated_reading import RepeatedReading
from cifar_exp.tracking.store.server import StoreError, check_server
from cifar_exp.tracking.store.stored_files import StoredModel, artifact_folder, stored_models
from cifar_exp.tracking.tracker import Tracker, mlflow_experiment
from cifar_exp.tracking.ui.experiment import describe_experiment, ranked_experiments
from cifar_exp.tracking.ui.runs import describe_runs
from cifar_exp.tracking.ui.views import save_views

__all__ = [
    "CHAMPION",
    "DEFINITION_FILE",
    "STATUS_OF",
    "Client",
    "ExperimentRuns",
    "Outbox",
    "Point",
    "RepeatedReading",
    "Run",
    "StoreError",
    "StoredModel",
    "Tracker",
    "address",
    "artifact_folder",
    "champion_tags",
    "check_server",
    "connect",
    "connect_to_read",
    "deleted_runs",
    "deliver",
    "delivering",
    "describe_experiment",
    "describe_runs",
    "every_outbox",
    "exists",
    "experiments",
    "files_of_deleted_runs",
    "inherited_run",
    "is_server",
    "mlflow_experiment",
    "outbox_of",
    "ranked_experiments",
    "read_accuracies",
    "read_curves",
    "read_definition",
    "read_epochs",
    "read_predictions",
    "read_records",
    "read_sweeps",
    "record_of",
    "register_champion",
    "relocate",
    "resolve_uri",
    "runs_page",
    "save_views",
    "store_of",
    "stored_models",
    "undelivered",
]
