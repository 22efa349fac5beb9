"""Networks and their layers, built for images of a given shape."""

from cifar_exp.components.models.build import build, read_model
from cifar_exp.components.models.networks import MODELS, Model

__all__ = ["MODELS", "Model", "build", "read_model"]
