"""The last layer of a network, which computes the outputs of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from cifar_exp.system.formatting import listed


def last_layer(network: nn.Module, images: torch.Tensor) -> str:
    """Return the name of the layer whose outputs are the network's, wherever it is registered.

    Operations without weights may follow it. The network is called once, in evaluation.

    Args:
        network: The network, whose state does not change.
        images: A few standardised images.

    Raises:
        ValueError: There is not exactly one such layer, or it has not one matrix of weights.
    """
    found = _computing(network, images)
    if len(found) == 1 and _is_linear(network, *found):
        return found.pop()
    parts = listed(sorted(found)) or "none"
    raise ValueError(
        "a cosine head, frozen weights and weights for other classes need one linear layer whose "
        f"outputs are those of the network; those that compute them are: {parts}"
    )


def _is_linear(network: nn.Module, name: str) -> bool:
    """Return whether this is a layer with one matrix of weights, or kernel of a convolution."""
    layer = dict(network.named_modules()).get(name)
    return layer is not None and sum(weights.ndim > 1 for weights in layer.parameters()) == 1


def _computing(network: nn.Module, images: torch.Tensor) -> set[str]:
    """Return the layers and parameters that are last on some path to the outputs."""
    layers: dict[Any, str] = {}
    with _in_evaluation(network), torch.enable_grad(), ExitStack() as hooks:
        for name, module in network.named_modules():
            if name and _is_layer(module):
                handle = module.register_forward_hook(_noting(name, layers))
                hooks.callback(handle.remove)
        outputs = network(images)
    parameters = {parameter: name for name, parameter in network.named_parameters()}
    found: set[str] = set()
    seen, nodes = {None}, [outputs.grad_fn]
    while nodes:
        node = nodes.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in layers:
            found.add(layers[node])
        elif hasattr(node, "variable"):
            found.add(parameters[node.variable])
        else:
            nodes += [before for before, _ in node.next_functions]
    return found


def _is_layer(module: nn.Module) -> bool:
    """Return whether a module has parameters and is not made of modules."""
    return any(True for _ in module.parameters()) and not any(True for _ in module.children())


def _noting(name: str, layers: dict[Any, str]) -> Callable[..., None]:
    """Return a hook that notes which node of the graph of gradients a layer computes."""

    def note(_module: nn.Module, _inputs: Any, outputs: Any) -> None:
        layers[getattr(outputs, "grad_fn", None)] = name

    return note


@contextmanager
def _in_evaluation(network: nn.Module) -> Iterator[None]:
    """Evaluate a network; afterwards each of its modules is in the mode that it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
