"""Only the convolutions of `seed_cnn_relu`: no training step can be faster."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from cifar_exp.components.precision import Precision

Step = Callable[[], object]
LAYERS = ((3, 32, 32), (32, 32, 16), (32, 64, 8))
"""Input channels, output channels, and image height and width of each convolution."""
PADDING, KERNEL = [2, 2], 5
TRIED = 20
"""Steps for choosing the fastest memory layout."""


def epochs(precision: Precision, batch_size: int, num_images: int) -> Iterator[float]:
    """Compute forward and backward passes of all convolutions; yield the images per second.

    Each layer uses its fastest memory layout, with inputs that are already in this layout. The
    gradient of the images is not computed, as training does not need it.
    """
    steps = [_fastest(_layouts(*layer, precision, batch_size)) for layer in LAYERS]
    repeats = -(-num_images // batch_size)
    while True:
        seconds = sum(_seconds(step, repeats) for step in steps)
        yield repeats * batch_size / seconds


def _layouts(
    channels: int, features: int, size: int, precision: Precision, batch_size: int
) -> list[Step]:
    """Return a layer's forward and backward pass in each memory layout."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    images = torch.randn(batch_size, channels, size, size, dtype=dtype)
    outputs = torch.randn(batch_size, features, size, size, dtype=dtype)
    weight = torch.randn(features, channels, KERNEL, KERNEL, dtype=dtype)
    bias = torch.zeros(features, dtype=dtype)
    last = torch.channels_last
    layouts = {
        "plain": (images, outputs),
        "channels last": (
            images.to(memory_format=last),
            outputs.to(memory_format=last),
        ),
        "blocked": (images.to_mkldnn(), outputs.to_mkldnn()),
    }
    return [partial(_step, given, grad, weight, bias) for given, grad in layouts.values()]


def _step(
    images: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> None:
    one = [1, 1]
    torch.mkldnn_convolution(images, weight, bias, PADDING, one, one, 1)
    needed = [images.shape[1] > 3, True, True]
    torch.ops.aten.convolution_backward(
        grad, images, weight, [len(bias)], one, PADDING, one, False, [0, 0], 1, needed
    )


def _fastest(steps: list[Step]) -> Step:
    """Return the fastest step, by the best of several measurements each."""
    taken = [min(_seconds(step, 1) for _ in range(TRIED)) for step in steps]
    return steps[taken.index(min(taken))]


def _seconds(step: Step, repeats: int) -> float:
    started = time.perf_counter()
    for _ in itertools.repeat(None, repeats):
        step()
    return time.perf_counter() - started
