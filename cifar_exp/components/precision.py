"""Arithmetic of a network: float32, or bfloat16 products with float32 weights."""

from __future__ import annotations

from typing import Literal

from cifar_exp.system.lazy_import import torch

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["fp32", "bf16", "auto"]

# Names of torch.cpu.get_capabilities(): the first two are of x86, the others of ARM
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


def resolve(choice: PrecisionChoice) -> Precision:
    """Return the precision on this machine; "auto" is bf16 if it is supported natively, else fp32.

    Emulated bfloat16 is slower than float32 and not more exact.
    """
    if choice != "auto":
        return choice
    return "bf16" if _has_native_bf16() else "fp32"


def _has_native_bf16() -> bool:
    """Return whether the training device supports bfloat16 natively."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in BF16_INSTRUCTIONS)
