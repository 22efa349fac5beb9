"""The first layer of every model: from raw images to standardised numbers."""

from collections.abc import Sequence

import torch


class Standardize(torch.nn.Module):
    """Maps raw images to (x / 255 - mean) / std, channel by channel.

    Mean and standard deviation are on the scale 0 to 1 and are saved with the model, but not
    trained.
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
        """Map N x C x H x W images with values 0 to 255 (uint8) to floats; keeps the layout."""
        # Spread over an image in its own layout, they meet it in one run of memory, not by pixel.
        spread = torch.empty_like(images[:1], dtype=self.scale.dtype)
        shift, scale = spread.clone().copy_(self.shift), spread.copy_(self.scale)
        return torch.addcmul(shift, images.to(self.scale.dtype), scale)
