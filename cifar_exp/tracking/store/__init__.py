"""Access to an MLflow store: connection, search and reading."""
