"""One training: batches, epochs, evaluation and checkpoints; nothing of MLflow or Optuna."""
