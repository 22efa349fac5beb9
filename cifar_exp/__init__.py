"""Rank loss functions and optimizers for an image classification task, each pair fairly tuned."""
