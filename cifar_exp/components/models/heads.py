"""The heads that a network can have in place of its own last layer."""

import torch
from torch import nn

from cifar_exp.components.models.last_layer import last_layer


class CosineLinear(nn.Module):
    """The cosines of the angles between features and the weights of each class.

    Args:
        layer: The linear layer in whose place it is, with its weights.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().clone())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map N x inputs features to N x classes, from -1 to 1."""
        normalize = nn.functional.normalize
        return nn.functional.linear(normalize(features), normalize(self.weight))


def use_cosine_head(network: nn.Module, images: torch.Tensor) -> None:
    """Replace the last layer of a network by one of cosines.

    Args:
        network: The network.
        images: A few standardised images.

    Raises:
        ValueError: It has no last layer, or one that is not linear.
    """
    name = last_layer(network, images)
    last = network.get_submodule(name)
    if not isinstance(last, nn.Linear):
        raise ValueError(f'head = "cosine" needs a linear last layer, not {type(last).__name__}')
    network.set_submodule(name, CosineLinear(last))
