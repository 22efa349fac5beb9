"""Torch's settings for rounding float32 products on a GPU; they also exist without a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch

from cifar_exp.components.precision import Precision

every_operation: Any = torch.backends
matrices: Any = torch.backends.cuda.matmul
cudnn: Any = torch.backends.cudnn


@dataclass(frozen=True)
class Rounding:
    """The settings in both of torch's APIs; reading the older one fails if they differ."""

    matrices: str
    convolutions: str
    recurrent: str
    old_matrices: bool
    old_convolutions: bool

    @classmethod
    def now(cls) -> Self:
        """Return the settings of this process."""
        return cls(
            matrices.fp32_precision,
            cudnn.conv.fp32_precision,
            cudnn.rnn.fp32_precision,
            matrices.allow_tf32,
            cudnn.allow_tf32,
        )


IEEE = Rounding("ieee", "ieee", "ieee", False, False)
TF32 = Rounding("tf32", "tf32", "tf32", True, True)
DEFAULT = Rounding("none", "tf32", "tf32", False, True)
"""Torch's default: convolutions are rounded, matrix products are not."""
EXPECTED: dict[Precision, Rounding] = {"fp32": IEEE, "bf16": IEEE, "tf32": TF32}
"""The settings of each precision."""


def reset() -> None:
    """Restore torch's default."""
    every_operation.fp32_precision = "none"
    matrices.allow_tf32, cudnn.allow_tf32 = False, True
    matrices.fp32_precision = "none"
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "tf32"
    assert Rounding.now() == DEFAULT
