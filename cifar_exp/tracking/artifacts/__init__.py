"""Artifacts of a run: model, predictions and data set."""
