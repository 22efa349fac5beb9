"""All of MLflow: the store, the runs written to it, and the records read from it."""

from cifar_exp.tracking.run import Run
from cifar_exp.tracking.store import StoreError, connect, default_uri
from cifar_exp.tracking.tracker import Tracker, inherited_run, mlflow_experiment, read_records

__all__ = [
    "Run",
    "StoreError",
    "Tracker",
    "connect",
    "default_uri",
    "inherited_run",
    "mlflow_experiment",
    "read_records",
]
