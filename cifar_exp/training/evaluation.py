"""Evaluation of a network on a split of the data."""

from __future__ import annotations

import math

import torch

from cifar_exp.components.datasets import Split
from cifar_exp.components.losses import Loss
from cifar_exp.components.metrics.scores import Evaluation, examine, temperatures_of
from cifar_exp.components.precision import Precision, float32_products
from cifar_exp.training.hardware import autocast, device

EVALUATION_BATCH = 500

LOSS_NOT_FINITE = "the training loss is not finite"
OUTPUT_NOT_FINITE = "an output of the network is not finite"


class Diverged(Exception):  # noqa: N818 - an outcome of training, not a fault
    """The training loss or an output of the network is not finite."""


def evaluate(
    model: torch.nn.Module,
    loss: Loss,
    split: Split,
    precision: Precision = "fp32",
    temperature: float | None = None,
) -> Evaluation:
    """Evaluate a network on a split; probabilities follow from the loss.

    With a temperature, the scores after temperature scaling are included.

    Raises:
        Diverged: An output is not finite.
    """
    logits = _outputs(model, split.images, precision)
    if not logits.isfinite().all():
        raise Diverged(OUTPUT_NOT_FINITE)
    evaluation = examine(logits, split.labels.cpu(), loss, temperature)
    if not all(map(math.isfinite, evaluation.scores.named("").values())):
        raise Diverged("a score of the network is not finite")
    return evaluation


def fit_temperature(
    model: torch.nn.Module, loss: Loss, split: Split, precision: Precision = "fp32"
) -> float:
    """Return the temperature of a network, fitted on a split that is not used for its scores."""
    logits = _outputs(model, split.images, precision)
    [temperature] = temperatures_of(logits.unsqueeze(0), split.labels.cpu(), [loss])
    return temperature


@torch.no_grad()
def _outputs(model: torch.nn.Module, images: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Return the outputs of a network for all images, as float32 on the CPU."""
    model.eval()
    outputs = []
    with float32_products(precision):
        for batch in images.split(EVALUATION_BATCH):
            with autocast(precision):
                outputs.append(model(batch.to(device())).float())
    return torch.cat(outputs).cpu()
