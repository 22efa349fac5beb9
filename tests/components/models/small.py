"""Every network in a size that is quick to test."""

from __future__ import annotations

from typing import Any

from cifar_exp.components.models import MODELS, Model

SETTINGS: dict[str, dict[str, Any]] = {
    "airbench": {"width": 0.25},
    "mlp": {"width": 32},
    "wrn_16_4": {"width": 1},
    "wrn_28_10": {"width": 1},
}
SIZES = {"airbench": 25}
"""Images that are larger than 16 pixels."""


def small(name: str) -> Model:
    """Return a network of the table."""
    return MODELS[name].model_validate(SETTINGS.get(name, {}))


def small_size(name: str) -> int:
    """Return the height and width of images that the network takes."""
    return SIZES.get(name, 16)
