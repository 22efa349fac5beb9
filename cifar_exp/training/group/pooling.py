"""When bias, max-pooling and activation of stacked features are one operation on a GPU.

The operation is compared with the plain layers before its first use, and if anything is wrong the
plain layers are used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn
from torch.nn import functional

from cifar_exp.system.lazy_import import LazyModule

if TYPE_CHECKING:
    from cifar_exp.training.group import pooling_kernel
else:  # it imports Triton, which only GPUs have
    pooling_kernel = LazyModule("cifar_exp.training.group.pooling_kernel")

LARGEST_WINDOW = 16
"""Elements of a window; the code of the operation grows with it."""

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
"""The largest difference from the plain layers, relative to the largest of their values."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)

_is_right: dict[tuple[object, ...], bool] = {}
"""The results of the comparisons of this process."""


@dataclass(frozen=True, slots=True)
class Window:
    """Max-pooling without padding, and the activation after it."""

    size: tuple[int, int]
    stride: tuple[int, int]
    ceil_mode: bool
    relu: bool

    @classmethod
    def of(cls, pool: nn.Module, activation: nn.Module) -> Window | None:
        """Return what two layers compute, None if it is something else."""
        if type(pool) is not nn.MaxPool2d or type(activation) not in (nn.ReLU, nn.Identity):
            return None
        size, stride = _pair(pool.kernel_size), _pair(pool.stride)
        is_plain = _pair(pool.padding) == (0, 0) and _pair(pool.dilation) == (1, 1)
        if not is_plain or pool.return_indices or size[0] * size[1] > LARGEST_WINDOW:
            return None
        return cls(size, stride, pool.ceil_mode, type(activation) is nn.ReLU)

    def outputs(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of the output."""
        return self._length(height, 0), self._length(width, 1)

    def _length(self, length: int, dimension: int) -> int:
        stride, beyond = self.stride[dimension], length - self.size[dimension]
        if not self.ceil_mode:
            return beyond // stride + 1
        num_windows = -(-beyond // stride) + 1
        return num_windows - ((num_windows - 1) * stride >= length)  # each begins in the image


def is_suitable(images: torch.Tensor) -> bool:
    """Return whether the operation is for features computed from such images."""
    return _are_on_gpu(images) and all(_is_right.values())


def bias_pool(features: torch.Tensor, bias: torch.Tensor, window: Window) -> torch.Tensor | None:
    """Add a bias to features, and apply max-pooling and an activation.

    Args:
        features: N x C x H x W, channels-last.
        bias: C.
        window: The pooling and the activation.

    Returns:
        N x C x H' x W' in the dtype of the features; None if the plain layers must be used.
    """
    if features.dtype not in TOLERANCE or bias.dtype != torch.float32:
        return None
    key = (features.device, features.dtype, features.shape[1:], window)
    if key not in _is_right:
        if _is_captured(features):
            return None  # no value can be read now; the warm-up before a capture has compared
        _is_right[key] = bool(_attempt(lambda: _agrees(features, window)))
    if not _is_right[key]:
        return None
    pooled = _attempt(lambda: pooling_kernel.bias_pool(features, bias, window))
    _is_right[key] = pooled is not None
    return pooled


def _are_on_gpu(images: torch.Tensor) -> bool:
    return images.is_cuda and images.is_contiguous(memory_format=torch.channels_last)


def _is_captured(features: torch.Tensor) -> bool:
    return features.is_cuda and torch.cuda.is_current_stream_capturing()


def _attempt(compute: Callable[[], Result]) -> Result | None:
    """Return a result; if there is none, give a warning that the plain layers are used."""
    problem: object = "its results differ from theirs"
    try:
        if (result := compute()) is not False:
            return result
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever it is, the plain layers are left
        problem = repr(error)
    _log.warning("pooling in groups uses the plain layers, not the Triton kernel: %s", problem)
    return None


def _agrees(features: torch.Tensor, window: Window) -> bool:
    """Return whether outputs and gradients are right for random features of the same shape.

    Both forms compare sums in float32, so they choose the same elements. This waits for the GPU.
    """
    random = torch.Generator(features.device).manual_seed(0)
    inputs, bias = _normal(features[:2].shape, random), _normal(features.shape[1:2], random)
    inputs = inputs.to(features.dtype).contiguous(memory_format=torch.channels_last)
    size = window.outputs(*features.shape[2:])
    gradient = _normal((*inputs.shape[:2], *size), random).to(features.dtype)
    found = _results(pooling_kernel.bias_pool, inputs, bias, window, gradient)
    expected = _results(_plain, inputs.float(), bias, window, gradient.float())
    bound = TOLERANCE[features.dtype]
    return all(
        bool((one.float() - other).abs().max() <= bound * other.abs().max())
        for one, other in zip(found, expected, strict=True)
    )


def _results(
    form: Callable[[torch.Tensor, torch.Tensor, Window], torch.Tensor],
    features: torch.Tensor,
    bias: torch.Tensor,
    window: Window,
    gradient: torch.Tensor,
) -> list[torch.Tensor]:
    """Return the output of a form, and the gradients of the features and the bias."""
    with torch.enable_grad():
        features, bias = features.detach().requires_grad_(), bias.detach().requires_grad_()
        output = form(features, bias, window)
    return [output.detach(), *torch.autograd.grad(output, (features, bias), gradient)]


def _plain(features: torch.Tensor, bias: torch.Tensor, window: Window) -> torch.Tensor:
    """Return what the plain layers compute."""
    shifted = features + bias[:, None, None]
    pooled = functional.max_pool2d(shifted, window.size, window.stride, ceil_mode=window.ceil_mode)
    return pooled.relu() if window.relu else pooled


def _normal(shape: Sequence[int], random: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=random, device=random.device)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
