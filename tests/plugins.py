"""Plug-ins for tests."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cifar_exp.components.plugins import registry

LOSS = """
import torch
import cifar_exp

@cifar_exp.loss
def tempered(logits, labels, temperature: float = 2.0):
    '''Cross-entropy of divided logits.'''
    return torch.nn.functional.cross_entropy(logits / temperature, labels, reduction="none")
"""
OPTIMIZER = """
import torch
import cifar_exp

@cifar_exp.optimizer
class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr: float = 0.1, shrink: float = 1.0):
        super().__init__(params, {"lr": lr, "shrink": shrink})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    weight.mul_(group["shrink"]).sub_(weight.grad, alpha=group["lr"])
"""
NETWORK = """
import torch
import cifar_exp

class Mean(torch.nn.Module):
    def forward(self, images):
        return images.mean((2, 3))

@cifar_exp.network
class Colours(torch.nn.Module):
    '''The mean colour, and a linear layer.'''
    def __init__(self, num_classes, channels: int = 3):
        super().__init__()
        self.layers = torch.nn.Sequential(Mean(), torch.nn.Linear(channels, num_classes))

    def forward(self, images):
        return self.layers(images)
"""
PACKAGE = {
    "own_losses/__init__.py": "",
    "own_losses/losses.py": LOSS.replace("tempered", "packaged"),
    "own_losses-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-losses\nVersion: 1.2\n",
    "own_losses-1.2.dist-info/entry_points.txt": (
        "[cifar_exp.components]\nlosses = own_losses.losses\n"
    ),
}


def write(folder: Path, *sources: str, name: str = "my.py") -> Path:
    """Write a plug-in file."""
    path = folder / name
    path.write_text("".join(map(textwrap.dedent, sources)), encoding="utf-8")
    return path


def write_package(folder: Path) -> None:
    """Write an installed package with a loss."""
    for name, text in PACKAGE.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


@contextmanager
def none_left() -> Iterator[None]:
    """Remove the components of plug-ins before and after."""
    registry.forget()
    try:
        yield
    finally:
        registry.forget()


def load(path: Path) -> None:
    """Load a plug-in file, in place of all others."""
    registry.forget()
    registry.load(registry.files([path]))
