"""The file of a trained network, which a trainer passes to the recorder."""

from __future__ import annotations

import copy
from pathlib import Path

import cloudpickle
import torch

from cifar_exp.components.models import blocks, heads, onednn, standardize
from cifar_exp.components.plugins import registry

# With the code of the layers in the file, it can be loaded where cifar_exp or a plug-in is not
# installed.
for layers in (blocks, heads, onednn, standardize):
    cloudpickle.register_pickle_by_value(layers)


def save_network(network: torch.nn.Module, path: Path) -> None:
    """Save a copy of a network, on the CPU and in evaluation mode.

    Raises:
        OSError: The file cannot be written.
    """
    for module in registry.modules():
        cloudpickle.register_pickle_by_value(module)
    torch.save(copy.deepcopy(network).cpu().eval(), path, pickle_module=cloudpickle)
