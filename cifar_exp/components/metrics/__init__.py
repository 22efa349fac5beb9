"""Metrics of a classifier that do not depend on the training loss."""
