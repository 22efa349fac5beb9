"""The losses: each takes logits and integer labels and gives one number to minimise."""

from cifar_exp.components.losses.base import Loss
from cifar_exp.components.losses.distance import (
    Brier,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    RescaledMeanSquaredError,
)
from cifar_exp.components.losses.likelihood import (
    CrossEntropy,
    Focal,
    GeneralizedCrossEntropy,
    Poly1,
    SymmetricCrossEntropy,
)
from cifar_exp.components.losses.one_vs_rest import BinaryCrossEntropy, MultiMargin

__all__ = ["LOSSES", "Loss"]

LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "focal": Focal,
    "mse": MeanSquaredError,
    "l1": MeanAbsoluteError,
    "huber": Huber,
    "bce": BinaryCrossEntropy,
    "multi_margin": MultiMargin,
    "brier": Brier,
    "mse_rescaled": RescaledMeanSquaredError,
    "generalized_cross_entropy": GeneralizedCrossEntropy,
    "symmetric_cross_entropy": SymmetricCrossEntropy,
    "poly1": Poly1,
}
