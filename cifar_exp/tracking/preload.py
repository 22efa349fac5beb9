"""What MLflow loads late, at the first use of a database and the first stored network."""

import mlflow.pyfunc
import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracing.processor.base_mlflow
import sqlalchemy.dialects.sqlite
import sqlalchemy.orm
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

from cifar_exp.tracking.artifacts.flavor import flavor

sqlalchemy.orm.configure_mappers()
# It looks through every installed package, which takes up to a second, and keeps what it finds.
warn_dependency_requirement_mismatches(["torch"])

__all__ = ["flavor", "mlflow", "sqlalchemy"]
