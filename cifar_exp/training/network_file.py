"""A trained network as a file, which a trainer hands over."""

from __future__ import annotations

import copy
from pathlib import Path

import cloudpickle
import torch

from cifar_exp.components.models import onednn, standardize

# The file then holds our layers too, and loads where cifar_exp is not installed.
for layers in (onednn, standardize):
    cloudpickle.register_pickle_by_value(layers)


def save_network(network: torch.nn.Module, path: Path) -> None:
    """Write a network to a file, on the CPU and in evaluation mode; the network stays as it is.

    Raises:
        OSError: The file cannot be written.
    """
    torch.save(copy.deepcopy(network).cpu().eval(), path, pickle_module=cloudpickle)
