"""Bias, max-pooling and ReLU as one operation on a GPU, written in Triton.

These layers are bound by memory traffic. As separate operations they read and write the output of
a convolution several times, and the winners of max-pooling take 8 bytes each. Here the forward pass
reads it once, the backward pass writes its gradient once, and winners take one byte.

This module imports Triton, which is installed with torch for CUDA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from cifar_exp.training.group.pooling import Window

# Fixed sizes, as nothing can be measured while a CUDA graph is captured. Each thread reads and
# writes neighbouring channels, as many as one access can have.
NUM_WARPS = 4
TILE_BYTES = NUM_WARPS * 32 * 16
MOST_CHANNELS = 128


def bias_pool(features: torch.Tensor, bias: torch.Tensor, window: Window) -> torch.Tensor:
    """Add a bias to features, and apply max-pooling and an activation, with gradients.

    Args:
        features: N x C x H x W, float32 or bfloat16; channels-last, or they are copied.
        bias: C, float32.
        window: The pooling and the activation.
    """
    pooled: torch.Tensor = _BiasPool.apply(features, bias, window)
    return pooled


class _BiasPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, bias: torch.Tensor, window: Window
    ) -> torch.Tensor:
        features = features.contiguous(memory_format=torch.channels_last)
        pooled = _empty(features, window.outputs(*features.shape[2:]), features.dtype)
        winners = torch.empty_like(pooled, dtype=torch.int8)
        _launch_pool(features, bias.contiguous(), pooled, winners, window)
        ctx.save_for_backward(winners)
        ctx.size, ctx.window = features.shape[2:], window
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        (winners,) = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_features = _empty(gradient, ctx.size, gradient.dtype)
        masked = torch.empty_like(gradient) if ctx.window.relu else gradient
        _launch_spread(gradient, winners, of_features, masked, ctx.window)
        return of_features, masked.sum((0, 2, 3), dtype=torch.float32), None


def _empty(like: torch.Tensor, size: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(
        (*like.shape[:2], *size),
        dtype=dtype,
        device=like.device,
        memory_format=torch.channels_last,
    )


def _launch_pool(
    features: torch.Tensor,
    bias: torch.Tensor,
    pooled: torch.Tensor,
    winners: torch.Tensor,
    window: Window,
) -> None:
    num_images, channels, out_height, out_width = pooled.shape
    num_outputs = num_images * out_height * out_width
    grid, tile = _tiles(num_outputs, features)
    with torch.cuda.device_of(features):
        _pool[grid](
            *(features, bias, pooled, winners),
            *(num_outputs, channels, *features.shape[2:], out_height, out_width),
            *(*window.size, *window.stride, window.relu, *tile),
            num_warps=NUM_WARPS,
        )


def _launch_spread(
    gradient: torch.Tensor,
    winners: torch.Tensor,
    of_features: torch.Tensor,
    masked: torch.Tensor,
    window: Window,
) -> None:
    num_images, channels, height, width = of_features.shape
    rows, columns = triton.cdiv(height, window.stride[0]), triton.cdiv(width, window.stride[1])
    num_cells = num_images * rows * columns
    grid, tile = _tiles(num_cells, of_features)
    with torch.cuda.device_of(gradient):
        _spread[grid](
            *(gradient, winners, of_features, masked),
            *(num_cells, channels, height, width, *gradient.shape[2:], rows, columns),
            *(*window.size, *window.stride, window.relu, *tile),
            num_warps=NUM_WARPS,
        )


def _tiles(num_pixels: int, features: torch.Tensor) -> tuple[tuple[int], tuple[int, int]]:
    """Return the grid of programs, and the number of pixels and of channels of each."""
    channels = features.shape[1]
    num_channels = min(MOST_CHANNELS, triton.next_power_of_2(channels))
    in_tile = TILE_BYTES // features.element_size() // num_channels
    num_programs = triton.cdiv(num_pixels, in_tile) * triton.cdiv(channels, num_channels)
    return (num_programs,), (in_tile, num_channels)


# The kernels use only operations of Triton's core: its library of jit functions does not run in
# the interpreter if Triton has been imported before.


@triton.jit
def _tile(channels, in_tile: tl.constexpr, num_channels: tl.constexpr):
    """Return the pixels and the channels of this program; the next one has other channels."""
    across = (channels + num_channels - 1) // num_channels
    index = tl.program_id(0)
    pixel = index // across * in_tile + tl.arange(0, in_tile)
    channel = index % across * num_channels + tl.arange(0, num_channels)
    return pixel, channel


@triton.jit
def _offset(image, row, column, rows, columns, channels, channel):
    """Return the place of pixels and channels in channels-last layout, which can exceed 32 bits."""
    pixel = (image * rows + row) * columns + column
    return pixel.to(tl.int64)[:, None] * channels + channel[None, :]


@triton.jit(do_not_specialize=["num_outputs"])
def _pool(
    features,
    bias,
    pooled,
    winners,
    num_outputs,
    channels,
    height,
    width,
    out_height,
    out_width,
    size_y: tl.constexpr,
    size_x: tl.constexpr,
    stride_y: tl.constexpr,
    stride_x: tl.constexpr,
    relu: tl.constexpr,
    in_tile: tl.constexpr,
    num_channels: tl.constexpr,
):
    """Write the largest element of each window, and its place there or -1 if ReLU removes it."""
    pixel, channel = _tile(channels, in_tile, num_channels)
    image, row = pixel // (out_height * out_width), pixel // out_width % out_height
    column = pixel % out_width
    inside = (pixel < num_outputs)[:, None] & (channel < channels)[None, :]
    shift = tl.load(bias + channel, mask=channel < channels, other=0.0)[None, :]
    best = tl.full((in_tile, num_channels), float("-inf"), tl.float32)
    winner = tl.full((in_tile, num_channels), 0, tl.int32)
    for dy in tl.static_range(size_y):
        for dx in tl.static_range(size_x):
            y, x = row * stride_y + dy, column * stride_x + dx
            valid = inside & ((y < height) & (x < width))[:, None]
            source = features + _offset(image, y, x, height, width, channels, channel)
            value = tl.load(source, mask=valid, other=0.0).to(tl.float32) + shift
            better = valid & ((value > best) | (value != value))  # noqa: PLR0124 - the last NaN, as in torch
            best = tl.where(better, value, best)
            winner = tl.where(better, dy * size_x + dx, winner)
    if relu:
        removed = best <= 0.0  # not NaN, as in torch
        best = tl.where(removed, 0.0, best)
        winner = tl.where(removed, -1, winner)
    target = _offset(image, row, column, out_height, out_width, channels, channel)
    tl.store(pooled + target, best.to(pooled.dtype.element_ty), mask=inside)
    tl.store(winners + target, winner.to(tl.int8), mask=inside)


@triton.jit
def _won(
    gradient,
    winners,
    image,
    row,
    column,
    inside,
    out_height,
    out_width,
    channels,
    channel,
):
    """Return the gradients and the winners of windows; without a winner if there is no window."""
    exists = (row >= 0) & (row < out_height) & (column >= 0) & (column < out_width)
    source = _offset(image, row, column, out_height, out_width, channels, channel)
    mask = inside & exists[:, None]
    loaded = tl.load(gradient + source, mask=mask, other=0.0).to(tl.float32)
    return loaded, tl.load(winners + source, mask=mask, other=-1), source, mask


@triton.jit(do_not_specialize=["num_cells"])
def _spread(
    gradient,
    winners,
    of_features,
    masked,
    num_cells,
    channels,
    height,
    width,
    out_height,
    out_width,
    rows,
    columns,
    size_y: tl.constexpr,
    size_x: tl.constexpr,
    stride_y: tl.constexpr,
    stride_x: tl.constexpr,
    relu: tl.constexpr,
    in_tile: tl.constexpr,
    num_channels: tl.constexpr,
):
    """Write the gradient of the features, and with ReLU its gradient.

    The features are divided into cells of the size of the stride. The elements of a cell belong to
    the window that begins at it, and to windows that begin at cells before it, which are summed
    in torch's order.
    """
    cell, channel = _tile(channels, in_tile, num_channels)
    image, row, column = cell // (rows * columns), cell // columns % rows, cell % columns
    inside = (cell < num_cells)[:, None] & (channel < channels)[None, :]
    own, own_winner, source, exists = _won(
        gradient,
        winners,
        image,
        row,
        column,
        inside,
        out_height,
        out_width,
        channels,
        channel,
    )
    if relu:
        kept = tl.where(own_winner >= 0, own, 0.0)
        tl.store(masked + source, kept.to(masked.dtype.element_ty), mask=exists)
    before_y: tl.constexpr = (size_y - 1) // stride_y
    before_x: tl.constexpr = (size_x - 1) // stride_x
    for cy in tl.static_range(stride_y):
        for cx in tl.static_range(stride_x):
            total = tl.full((in_tile, num_channels), 0.0, tl.float32)
            for i in tl.static_range(before_y + 1):
                for j in tl.static_range(before_x + 1):
                    dy = cy + (before_y - i) * stride_y
                    dx = cx + (before_x - j) * stride_x
                    if dy < size_y and dx < size_x:
                        if i == before_y and j == before_x:
                            won, winner = own, own_winner
                        else:
                            won, winner, _, _ = _won(
                                gradient,
                                winners,
                                image,
                                row - (before_y - i),
                                column - (before_x - j),
                                inside,
                                out_height,
                                out_width,
                                channels,
                                channel,
                            )
                        total += tl.where(winner == dy * size_x + dx, won, 0.0)
            y, x = row * stride_y + cy, column * stride_x + cx
            target = of_features + _offset(image, y, x, height, width, channels, channel)
            valid = inside & ((y < height) & (x < width))[:, None]
            tl.store(target, total.to(of_features.dtype.element_ty), mask=valid)
