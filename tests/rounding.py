"""How torch is set to round float32 products on a GPU; the settings exist without a GPU, too."""

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
    """The settings in both of torch's APIs; to read the older one fails where they differ."""

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
"""Of torch: convolutions are rounded, products of matrices are not."""
EXPECTED: dict[Precision, Rounding] = {"fp32": IEEE, "bf16": IEEE, "tf32": TF32}
"""Of each precision."""


def reset() -> None:
    """Set the default of torch."""
    every_operation.fp32_precision = "none"
    matrices.allow_tf32, cudnn.allow_tf32 = False, True
    matrices.fp32_precision = "none"
    cudnn.conv.fp32_precision = cudnn.rnn.fp32_precision = "tf32"
    assert Rounding.now() == DEFAULT
