"""Pretrained weights: files in safetensors format."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from cifar_exp.components.models.last_layer import last_layer


def load_weights(
    network: torch.nn.Module, path: Path, images: torch.Tensor, *, digest: str | None
) -> None:
    """Load weights into a network; its last layer is loaded only if the file has one that fits.

    Args:
        network: The network.
        path: The file.
        images: A few standardised images, see `last_layer`.
        digest: The SHA-256 of the file that the definition means; None if any is meant.

    Raises:
        ValueError: The file cannot be read, has changed, or is not of this network.
    """
    weights, own = _tensors(_content(path, digest), path), network.state_dict()
    fit = {name for name in own.keys() & weights.keys() if own[name].shape == weights[name].shape}
    if wrong := (own.keys() | weights.keys()) - fit:
        last = last_layer(network, images)
        others = sorted(name for name in wrong if name.rpartition(".")[0] != last)
        if others:
            raise ValueError(
                f"weights {path} are not of this network: "
                f"{_reason(others[0], own, weights)} ({len(fit)} of {len(own)} tensors fit)"
            )
    network.load_state_dict({name: weights[name] for name in fit}, strict=False)


def freeze(network: torch.nn.Module, images: torch.Tensor) -> None:
    """Let only the last layer be trained; statistics of BatchNorm still follow the batches.

    Args:
        network: The network.
        images: A few standardised images, see `last_layer`.

    Raises:
        ValueError: It has no last layer.
    """
    last = last_layer(network, images)
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name.rpartition(".")[0] == last


def _reason(name: str, own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]) -> str:
    if name not in weights:
        return f"{name} is missing"
    if name not in own:
        return f"{name} is unknown"
    return f"{name} has shape {tuple(weights[name].shape)}, not {tuple(own[name].shape)}"


def _content(path: Path, digest: str | None) -> bytes:
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"weights {path} cannot be read: {reason}") from None
    if digest not in (None, hashlib.sha256(content).hexdigest()):
        raise ValueError(
            f"weights {path} have changed since the sweep began: restore the file, or start again"
        )
    return content


def _tensors(content: bytes, path: Path) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise ValueError("weights need a package: pip install 'cifar_exp[timm]'") from None
    try:
        weights: dict[str, torch.Tensor] = load(content)
    except Exception as error:  # the library has errors of its own
        raise ValueError(f"weights {path} cannot be read: {error}") from error
    return weights
