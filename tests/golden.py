"""The first training losses of every loss with every optimizer, stored for comparison.

`python -m tests.golden` adds missing pairs to `golden.json`. To change a formula intentionally,
first delete its lines there, and give the reason in the commit. All computations are in float64
except a part of muon, so that processors differ by less than the bound.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.context import Context
from cifar_exp.components.optimizers import OPTIMIZERS

FILE = Path(__file__).with_suffix(".json")
STEPS, LR = 5, 0.01


def losses_of(loss: str, optimizer: str) -> list[float]:
    """Train a small network for some steps on fixed numbers; return the loss before each."""
    torch.manual_seed(0)
    layers = (torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4))
    model = torch.nn.Sequential(*layers).double()
    inputs, labels = torch.randn(16, 6, dtype=torch.float64), torch.arange(16) % 4
    criterion, steps = LOSSES[loss](), OPTIMIZERS[optimizer]().build(model, LR)
    values, context = [], Context.of(labels, 4)
    for _ in range(STEPS):
        value = criterion(model(inputs), labels, context)
        steps.zero_grad()
        value.backward()
        steps.step()
        values.append(value.item())
    return values


def pairs() -> list[str]:
    """Return the names of all pairs of a loss and an optimizer."""
    return [f"{loss}+{optimizer}" for loss in LOSSES for optimizer in OPTIMIZERS]


if __name__ == "__main__":
    stored = json.loads(FILE.read_text())
    golden = {pair: stored.get(pair) or losses_of(*pair.split("+")) for pair in pairs()}
    FILE.write_text(json.dumps(golden, indent=0) + "\n")
