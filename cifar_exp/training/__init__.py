"""One training: batches, epochs, evaluation and checkpoints, without MLflow and Optuna."""
