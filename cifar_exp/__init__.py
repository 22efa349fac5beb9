"""Rank losses and optimizers for an image classification task, all tuned with the same budget.

`loss`, `optimizer`, `network` and `dataset` mark the components of a plug-in.
"""

from cifar_exp.components.plugins.marks import dataset, loss, network, optimizer

__all__ = ["dataset", "loss", "network", "optimizer"]
