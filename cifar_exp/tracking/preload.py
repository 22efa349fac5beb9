"""Loads early what MLflow loads at the first use of a database and the first stored model."""

import mlflow.pyfunc
import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracing.processor.base_mlflow
import sqlalchemy.dialects.sqlite
import sqlalchemy.orm
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

from cifar_exp.tracking.artifacts.flavor import flavor

sqlalchemy.orm.configure_mappers()
# It scans all installed packages, which takes up to a second, and caches the result.
warn_dependency_requirement_mismatches(["torch"])

__all__ = ["flavor", "mlflow", "sqlalchemy"]
