"""The first layer of every model, which standardises raw images."""

from collections.abc import Sequence

import torch


class Standardize(torch.nn.Module):
    """Maps raw images to (x / 255 - mean) / std, per channel.

    Mean and standard deviation are in 0..1. They are saved with the model but not trained.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or min(std, default=0.0) <= 0:
            raise ValueError(
                f"mean {list(mean)} and std {list(std)} need one number per channel, std above 0"
            )
        means, stds = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (mean, std))
        self.register_buffer("scale", (1 / (255 * stds)).float())
        self.register_buffer("shift", (-means / stds).float())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map N x C x H x W uint8 images to float32 in the same memory layout."""
        # Expanded to an image in its layout, so that memory is read contiguously, not by pixel.
        expanded = torch.empty_like(images[:1], dtype=self.scale.dtype)
        shift, scale = expanded.clone().copy_(self.shift), expanded.copy_(self.scale)
        return torch.addcmul(shift, images.to(self.scale.dtype), scale)
