"""The arithmetic of a network: float32, or bfloat16 products with float32 weights."""

from __future__ import annotations

from typing import Literal

from cifar_exp.system.lazy_import import torch

Precision = Literal["fp32", "bf16"]
PrecisionChoice = Literal["fp32", "bf16", "auto"]

# As torch.cpu.get_capabilities() names them: the first two of x86, the others of ARM processors
BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")


def resolve(choice: PrecisionChoice) -> Precision:
    """Return the precision to compute in on this machine; "auto" is bf16 only where it is native.

    Elsewhere bfloat16 is emulated, which is slower than float32 and no more exact.
    """
    if choice != "auto":
        return choice
    return "bf16" if _has_native_bf16() else "fp32"


def _has_native_bf16() -> bool:
    """Say whether the device that trains multiplies bfloat16 numbers itself."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in BF16_INSTRUCTIONS)
