"""The losses of five steps of every loss with every optimizer, kept in a file.

    python -m tests.golden

writes `golden_losses.json` anew: after a change that is meant to change what is computed, and not
otherwise. Network and data are float64 numbers from a formula, on one thread, so that neither
random numbers nor the machine's float32 kernels have a part in them.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from cifar_exp.losses import LOSSES
from cifar_exp.optimizers import OPTIMIZERS

FILE = Path(__file__).with_name("golden_losses.json")
NUM_STEPS = 5
NUM_EXAMPLES, NUM_FEATURES, NUM_HIDDEN, NUM_CLASSES = 12, 8, 6, 5
LR = 0.05


def golden_losses() -> dict[str, list[float]]:
    """Train every loss with every optimizer for a few steps."""
    return {
        f"{loss}+{optimizer}": losses(loss, optimizer)
        for loss in LOSSES
        for optimizer in OPTIMIZERS
    }


def losses(loss: str, optimizer: str, lr: float = LR) -> list[float]:
    """Return the loss before each step."""
    torch.set_num_threads(1)
    model, inputs = _network(), _waves(NUM_EXAMPLES, NUM_FEATURES)
    labels = torch.arange(NUM_EXAMPLES) % NUM_CLASSES
    criterion, steps = LOSSES[loss](), OPTIMIZERS[optimizer]().build(model, lr)
    found = []
    for _ in range(NUM_STEPS):
        value = criterion(model(inputs), labels)
        steps.zero_grad()
        value.backward()
        steps.step()
        found.append(value.item())
    return found


def _network() -> torch.nn.Module:
    network = torch.nn.Sequential(
        torch.nn.Linear(NUM_FEATURES, NUM_HIDDEN),
        torch.nn.Tanh(),
        torch.nn.Linear(NUM_HIDDEN, NUM_CLASSES),
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(_waves(*parameter.shape) / 2)
    return network


def _waves(*shape: int) -> torch.Tensor:
    """Fill a tensor with numbers between -1 and 1 that have no pattern to speak of."""
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(1, count + 1, dtype=torch.float64) ** 2).reshape(shape)


if __name__ == "__main__":
    FILE.write_text(json.dumps(golden_losses(), indent=1) + "\n")
