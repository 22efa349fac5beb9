"""The optimizers: each builds a torch optimizer for a model at a learning rate."""

from cifar_exp.components.optimizers.adam import Adam, Adamax, AdamW, NAdam, RAdam
from cifar_exp.components.optimizers.adaptive import Adadelta, Adafactor, Adagrad, RMSprop
from cifar_exp.components.optimizers.base import Optimizer
from cifar_exp.components.optimizers.gradient_descent import ASGD, SGD, Rprop
from cifar_exp.components.optimizers.muon import Muon

__all__ = ["OPTIMIZERS", "Optimizer"]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "nadam": NAdam,
    "radam": RAdam,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adadelta": Adadelta,
    "adamax": Adamax,
    "asgd": ASGD,
    "adafactor": Adafactor,
    "rprop": Rprop,
    "muon": Muon,
}
