"""The last layer of a network, which computes the outputs of the classes."""

import torch
from torch import nn


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


def with_cosine_head(network: nn.Module) -> nn.Module:
    """Replace the last layer of a network, in place, by one of cosines.

    Raises:
        ValueError: The last layer is not linear.
    """
    name = last_layer(network)
    last = network.get_submodule(name)
    if not isinstance(last, nn.Linear):
        raise ValueError(f'head = "cosine" needs a linear last layer, not {type(last).__name__}')
    network.set_submodule(name, CosineLinear(last))
    return network


def last_layer(network: nn.Module) -> str:
    """Return the name of the last layer with parameters."""
    *_, name = (name for name, _ in network.named_parameters())
    return name.rpartition(".")[0]
