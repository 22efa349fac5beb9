"""Rank losses and optimizers for an image classification task, all tuned with the same budget."""
