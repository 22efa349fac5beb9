"""Layers and networks that torch and torchvision do not have."""

import torch
from torch import nn


class PreActivationBlock(nn.Module):
    """BatchNorm, ReLU and 3 x 3 convolution, twice, with a shortcut.

    If the shape changes, the shortcut is a 1 x 1 convolution of the activated input.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        self.activation = nn.ReLU()
        self.changes_shape = inputs != outputs or stride != 1
        self.shortcut = (
            nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            if self.changes_shape
            else nn.Identity()
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map N x C x H x W features to those of the next block."""
        activated = self.activation(self.norm1(features))
        shortcut = self.shortcut(activated if self.changes_shape else features)
        inner = self.dropout(self.activation(self.norm2(self.conv1(activated))))
        result: torch.Tensor = self.conv2(inner) + shortcut
        return result


def wide_resnet(
    depth: int, width: int, dropout: float, *, channels: int, num_classes: int
) -> nn.Module:
    """Return the network of Zagoruyko and Komodakis 2016, with He's initial weights.

    Args:
        depth: Number of layers, 6 n + 4.
        width: Factor of the channels 16, 32 and 64.
        dropout: Probability of dropout between the convolutions of a block.
        channels: Channels of the images.
        num_classes: Number of logits.
    """
    blocks_per_stage = (depth - 4) // 6
    outputs = [16 * width, 32 * width, 64 * width]
    inputs = [16, *outputs]
    stages = [
        PreActivationBlock(
            inputs[stage] if block == 0 else outputs[stage],
            outputs[stage],
            stride=2 if block == 0 and stage > 0 else 1,
            dropout=dropout,
        )
        for stage in range(3)
        for block in range(blocks_per_stage)
    ]
    classifier = nn.Linear(outputs[-1], num_classes)
    nn.init.zeros_(classifier.bias)
    network = nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        *stages,
        nn.BatchNorm2d(outputs[-1]),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        classifier,
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


class Scale(nn.Module):
    """Multiplies features by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Scale the features."""
        return features * self.factor


def airbench(width: float, *, channels: int, size: int, num_classes: int) -> nn.Sequential:
    """Return Jordan's network for CIFAR-10, with the initial weights of its code.

    The first convolution is 2 x 2 and its weights are not trained, see `whiten`.

    Args:
        width: Factor of the channels of the convolutions.
        channels: Channels of the images.
        size: Height and width of the images, at least 25 pixels.
        num_classes: Number of logits.
    """
    whitened = 2 * channels * WHITENED_SIZE**2
    outputs = [round(width * wide) for wide in (64, 256, 256)]
    inputs = [whitened, *outputs]
    first = nn.Conv2d(channels, whitened, WHITENED_SIZE)
    first.weight.requires_grad = False
    side = (size - 1) // 8 // 3
    last = nn.Linear(outputs[-1] * side**2, num_classes, bias=False)
    groups = [
        layer
        for wide_in, wide_out in zip(inputs, outputs, strict=False)
        for layer in (
            *(_identity_conv(wide_in, wide_out), nn.MaxPool2d(2), _norm(wide_out), nn.GELU()),
            *(_identity_conv(wide_out, wide_out), _norm(wide_out), nn.GELU()),
        )
    ]
    return nn.Sequential(
        *(first, nn.GELU(), *groups), nn.MaxPool2d(3), nn.Flatten(), last, Scale(1 / 9)
    )


WHITENED_SIZE = 2
"""Height and width of the patches that the first layer of `airbench` whitens."""


def _identity_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a convolution whose first outputs are its inputs."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def _norm(outputs: int) -> nn.BatchNorm2d:
    """Return a batch normalisation whose scale is not trained."""
    layer = nn.BatchNorm2d(outputs, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


@torch.no_grad()
def whiten(layer: nn.Conv2d, images: torch.Tensor, eps: float = 5e-4) -> None:
    """Let a convolution whiten patches: project them on their scaled principal components.

    The outputs are the components and their negatives. Source: Jordan 2024, 94% on CIFAR-10 in 3.29
    Seconds on a Single GPU, after Page 2019.

    Args:
        layer: A convolution with twice as many outputs as a patch has numbers.
        images: N x C x H x W.
        eps: Added to the variance of each component.
    """
    patches = nn.functional.unfold(images, layer.kernel_size[0]).transpose(1, 2).flatten(0, 1)
    variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    rows = (components / torch.sqrt(variances + eps)).T.flip(0)
    layer.weight.copy_(torch.cat([rows, -rows]).view_as(layer.weight))
