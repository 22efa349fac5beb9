"""All of MLflow: the store, the runs written to it, and the records read from it."""

from cifar_exp.tracking.appearance import colour_runs, describe_experiment
from cifar_exp.tracking.courier import address, deliver, delivering, undelivered
from cifar_exp.tracking.curves import read_curves
from cifar_exp.tracking.outbox import Outbox, every_outbox, outbox_of
from cifar_exp.tracking.predictions import read_predictions
from cifar_exp.tracking.run import Run
from cifar_exp.tracking.server import StoreError, check_server, is_server
from cifar_exp.tracking.store import Client, connect, default_uri, exists
from cifar_exp.tracking.tracker import Tracker, inherited_run, mlflow_experiment, read_records

__all__ = [
    "Client",
    "Outbox",
    "Run",
    "StoreError",
    "Tracker",
    "address",
    "check_server",
    "colour_runs",
    "connect",
    "default_uri",
    "deliver",
    "delivering",
    "describe_experiment",
    "every_outbox",
    "exists",
    "inherited_run",
    "is_server",
    "mlflow_experiment",
    "outbox_of",
    "read_curves",
    "read_predictions",
    "read_records",
    "undelivered",
]
