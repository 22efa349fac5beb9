"""What MLflow loads late, at the first use of a database and the first stored network."""

import mlflow.store.tracking.sqlalchemy_store

from cifar_exp.tracking.flavor import flavor

__all__ = ["flavor", "mlflow"]
