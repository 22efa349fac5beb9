"""An MLflow store: connected to, searched, read."""
