"""What a sweep looks like in MLflow's UI."""
