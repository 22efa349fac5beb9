"""NLL, Brier score and ECE of every loss at its own optimum, raw and after temperature scaling.

Class probabilities are drawn; a network whose outputs minimise the expected loss of each image is
scored like a trained one. `python -m tests.components.metrics.simulation` prints the tables of
docs/method.md, in a few minutes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, logit

from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.components.losses.likelihood import CrossEntropy
from cifar_exp.components.metrics.metrics import SCALED
from cifar_exp.components.metrics.scores import examine, temperatures_of
from cifar_exp.components.metrics.temperature import HIGHEST, LOWEST
from tests.components.losses.optimum import RAW, SOFTMAX, optimum

Floats = npt.NDArray[np.floating]

VARIANTS: Mapping[str, dict[str, Any]] = {
    **{name: {} for name in LOSSES if name in {*SOFTMAX, *RAW}},
    "cross_entropy, label_smoothing = 0.1": {"label_smoothing": 0.1},
    "mse, compare = logits": {"compare": "logits"},
    "huber, compare = logits": {"compare": "logits"},
    "l1, compare = logits": {"compare": "logits"},
    "mse_rescaled, k = 5, M = 3": {"k": 5.0, "M": 3.0},
}
SOFTMAX_INSTEAD = (("mse_rescaled", CrossEntropy()),)
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


def scores(
    loss: Loss, val: Images, test: Images, mapped_by: Loss | None = None
) -> Mapping[str, float]:
    """Return the test scores at the optimum of a loss, and the temperature.

    Probabilities are by the map of the loss, or of another one.
    """
    by, outputs = mapped_by or loss, val.at_optimum(loss)
    [temperature] = temperatures_of(outputs.unsqueeze(0), val.labels, [by])
    found = examine(test.at_optimum(loss), test.labels, by, temperature).scores
    return {**found.values, "temperature": temperature}


def oracle(test: Images) -> Mapping[str, float]:
    """Return the test scores of the true class probabilities."""
    each = len(test.labels) // len(test.true)
    logits = test.true.clamp(min=1e-300).log().repeat_interleave(each, dim=0)
    return examine(logits, test.labels, CrossEntropy()).scores.values


def nll_by_images(num_val: int, num_draws: int) -> tuple[float, float, float]:
    """Return the NLL on new images of networks that know the true probabilities of two classes.

    Returns:
        The mean over validation splits of `num_val` images: without scaling, with the temperature
        of the smallest NLL on these images, and with the temperature of the product.
    """
    random = np.random.default_rng(1)
    new = _probabilities(random, 20_000)
    means = np.zeros(3)
    for _ in range(num_draws):
        true = _probabilities(random, num_val)
        labels = random.random(num_val) < true
        logits = torch.from_numpy(np.stack([np.zeros(num_val), logit(true)], axis=1))
        [fitted] = temperatures_of(
            logits.unsqueeze(0), torch.from_numpy(labels).long(), [CrossEntropy()]
        )
        means += [_nll(new, new, t) for t in (1.0, _smallest_nll(true, labels), fitted)]
    raw, smallest, with_one_more = (means / num_draws).tolist()
    return raw, smallest, with_one_more


def _probabilities(random: np.random.Generator, num_images: int) -> Floats:
    """Draw probabilities of the second of two classes, of which 98.6 % are predicted."""
    return random.beta(0.02, 0.02, num_images).clip(1e-6, 1 - 1e-6)


def _smallest_nll(true: Floats, labels: npt.NDArray[np.bool_]) -> float:
    def nll(log_temperature: float) -> float:
        return _nll(true, labels.astype(float), math.exp(log_temperature))

    ends = math.log(LOWEST), math.log(HIGHEST)
    return math.exp(minimize_scalar(nll, bounds=ends, method="bounded").x)


def _nll(true: Floats, shares: Floats, temperature: float) -> float:
    """Return the mean NLL after scaling of labels of which these shares are the second class."""
    gaps = logit(true) / temperature
    nll: float = -(shares * log_expit(gaps) + (1 - shares) * log_expit(-gaps)).mean()
    return nll


def main() -> None:
    """Print the tables."""
    _print_losses(distinct=4000)
    print()
    _print_row("validation images", "raw", "smallest NLL", "and one image more")
    print("|---:|---:|---:|---:|")
    for num_val in (100, 200, 500, 5000):
        _print_row(str(num_val), *(f"{nll:.3f}" for nll in nll_by_images(num_val, 200)))


def _print_losses(distinct: int) -> None:
    random = np.random.default_rng(0)
    val = Images.draw(random, distinct, 2, 10)
    test = Images.draw(random, distinct, 10, 10)
    metrics = ("nll", "brier", "ece")
    _print_row("loss", *(part for metric in metrics for part in (metric, "scaled")), "T")
    print("|---|" + "---:|" * 7)
    true = oracle(test)
    texts = [text for metric in metrics for text in (f"{true[metric]:.3f}", "")]
    _print_row("true probabilities", *texts, "")
    for variant, mapped_by in [*dict.fromkeys(VARIANTS).items(), *SOFTMAX_INSTEAD]:
        found = scores(loss_of(variant), val, test, mapped_by)
        names = [name for metric in metrics for name in (metric, SCALED[metric])]
        texts = [f"{found[name]:.3f}" for name in names]
        label = f"`{variant}`{' by softmax' if mapped_by else ''}"
        _print_row(label, *texts, f"{found['temperature']:.2f}")


def _print_row(*texts: str) -> None:
    print(f"| {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
