"""NLL, Brier score and ECE of every loss at its own optimum, raw and after temperature scaling.

`python -m tests.components.metrics.simulation` prints the table of docs/method.md, in a minute.
Class probabilities are drawn; a network whose outputs minimise the expected loss of each image is
scored like a trained one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.components.metrics.metrics import SCALED
from cifar_exp.components.metrics.scores import examine, temperatures_of
from tests.components.losses.optimum import RAW, SOFTMAX, optimum

VARIANTS: Mapping[str, dict[str, Any]] = {
    **{name: {} for name in LOSSES if name in {*SOFTMAX, *RAW}},
    "cross_entropy, label_smoothing = 0.1": {"label_smoothing": 0.1},
    "mse, compare = logits": {"compare": "logits"},
    "huber, compare = logits": {"compare": "logits"},
    "l1, compare = logits": {"compare": "logits"},
    "mse_rescaled, k = 5, M = 3": {"k": 5.0, "M": 3.0},
}
CONCENTRATION = 0.15  # of the Dirichlet distribution of class probabilities


@dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """Images of which only the class probabilities and a label are known."""

    true: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def draw(cls, random: np.random.Generator, distinct: int, each: int, classes: int) -> Images:
        """Draw class probabilities, and several labels for each of them."""
        true = random.dirichlet([CONCENTRATION] * classes, distinct)
        uniform = random.random((distinct, each, 1))
        labels = (true.cumsum(axis=1)[:, None, :-1] < uniform).sum(axis=2)
        return cls(true=torch.from_numpy(true), labels=torch.from_numpy(labels.ravel()))

    def at_optimum(self, loss: Loss) -> torch.Tensor:
        """Return the optimal outputs for each label."""
        return optimum(loss, self.true).repeat_interleave(len(self.labels) // len(self.true), dim=0)


def loss_of(variant: str) -> Loss:
    """Return a loss of `VARIANTS`."""
    return LOSSES[variant.partition(",")[0]](**VARIANTS[variant])


def scores(loss: Loss, val: Images, test: Images) -> Mapping[str, float]:
    """Return the test scores at the optimum of a loss, and its temperature."""
    outputs = val.at_optimum(loss)
    [temperature] = temperatures_of(outputs.unsqueeze(0), val.labels, [loss])
    found = examine(test.at_optimum(loss), test.labels, loss, temperature).scores
    return {**found.values, "temperature": temperature}


def oracle(test: Images) -> Mapping[str, float]:
    """Return the test scores of the true class probabilities."""
    each = len(test.labels) // len(test.true)
    logits = test.true.clamp(min=1e-300).log().repeat_interleave(each, dim=0)
    return examine(logits, test.labels, CrossEntropy()).scores.values


def main(distinct: int = 4000) -> None:
    """Print the table."""
    random = np.random.default_rng(0)
    val = Images.draw(random, distinct, 2, 10)
    test = Images.draw(random, distinct, 10, 10)
    names = ("nll", "brier", "ece")
    _print_row("loss", *(part for name in names for part in (name, "scaled")), "T")
    print("|---|" + "---:|" * 7)
    true = oracle(test)
    _print_row("true probabilities", *(part for n in names for part in (f"{true[n]:.3f}", "")), "")
    for variant in VARIANTS:
        found = scores(loss_of(variant), val, test)
        values = [found[part] for name in names for part in (name, SCALED[name])]
        texts = [f"{value:.3f}" for value in values]
        _print_row(f"`{variant}`", *texts, f"{found['temperature']:.2f}")


def _print_row(*texts: str) -> None:
    print(f"| {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
