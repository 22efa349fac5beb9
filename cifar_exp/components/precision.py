"""Arithmetic of a network: float32, TensorFloat-32 products, or bfloat16 products.

Weights are float32 in all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from cifar_exp.errors import Unavailable
from cifar_exp.system.lazy_import import torch

Precision = Literal["fp32", "tf32", "bf16"]
PrecisionChoice = Literal["fp32", "tf32", "bf16", "auto"]

# Names of torch.cpu.get_capabilities(): the first two are of x86, the others of ARM
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")

NO_TF32 = "NVIDIA_TF32_OVERRIDE"
"""The variable that turns TensorFloat-32 off in NVIDIA's libraries, if it is 0."""

Rounding = tuple[str, str, str]
"""How a GPU rounds float32 products: of matrices, convolutions and recurrent layers."""


def resolve(choice: PrecisionChoice) -> Precision:
    """Return the precision on this machine; "auto" is bf16 if it is supported natively, else fp32.

    Emulated bfloat16 is slower than float32 and not more exact.

    Raises:
        Unavailable: The choice is tf32, and this machine cannot compute in it.
    """
    if choice == "auto":
        return "bf16" if _has_native_bf16() else "fp32"
    if choice == "tf32":
        _check_tf32()
    return choice


@contextmanager
def float32_products(precision: Precision) -> Iterator[None]:
    """Round float32 products on a GPU to TensorFloat-32 if the precision is tf32, else never.

    By default, torch rounds those of convolutions. The settings belong to the process and are
    restored at the end, so this must not enclose a `yield` to another training.

    Raises:
        Unavailable: The precision is tf32, and this machine cannot compute in it.
    """
    value = "tf32" if resolve(precision) == "tf32" else "ieee"
    before = _rounding()
    _set_rounding((value, value, value))
    try:
        yield
    finally:
        _set_rounding(before)


def _rounding() -> Rounding:
    """Return the current settings."""
    matrices, convolutions, recurrent = _settings()
    return matrices.fp32_precision, convolutions.fp32_precision, recurrent.fp32_precision


def _set_rounding(rounding: Rounding) -> None:
    """Set both of torch's APIs, as reading the older one raises an error where they differ.

    The older one alone is not enough: its False lets convolutions follow a more general setting.
    """
    torch.backends.cuda.matmul.allow_tf32 = rounding[0] == "tf32"
    torch.backends.cudnn.allow_tf32 = rounding[1] == "tf32"
    for setting, value in zip(_settings(), rounding, strict=True):
        setting.fp32_precision = value


def _settings() -> tuple[Any, Any, Any]:
    cudnn: Any = torch.backends.cudnn
    return torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn


def _check_tf32() -> None:
    """Check that float32 products on this machine can be rounded to TensorFloat-32."""
    if not (torch.cuda.is_available() and torch.cuda.is_tf32_supported()):
        raise Unavailable(
            "precision tf32 needs a GPU with TensorFloat-32 (NVIDIA Ampere or newer), and this "
            "machine has none; use fp32, bf16 or auto"
        )
    if os.environ.get(NO_TF32) == "0":
        raise Unavailable(f"precision tf32 is turned off by {NO_TF32}=0; unset it, or use fp32")


def _has_native_bf16() -> bool:
    """Return whether the training device supports bfloat16 natively."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in BF16_INSTRUCTIONS)
