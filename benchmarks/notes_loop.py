"""The training loop of a course on PyTorch: the baseline of the throughput figure.

The code follows the lessons: images are decoded and transformed one at a time, a DataLoader
collates them, the model has plain layers, and the training step is the usual one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

BATCH_SIZE = 64
LEARNING_RATE = 0.01


class ImageDataset(TorchDataset[tuple[torch.Tensor, int]]):
    """Images stored like in torchvision's CIFAR10: an array, and a PIL image at each access."""

    def __init__(self, images: NDArray[Any], labels: list[int]) -> None:
        self.images = images
        self.labels = labels
        self.transform = transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


class Network(nn.Module):
    """The layers of seed_cnn or, with activations, of seed_cnn_relu."""

    def __init__(self, *, relu: bool) -> None:
        super().__init__()
        activation = [nn.ReLU()] if relu else []
        self.model = nn.Sequential(
            *(nn.Conv2d(3, 32, 5, padding=2), *activation, nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 32, 5, padding=2), *activation, nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5, padding=2), *activation, nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * 4 * 4, 64), *activation),
            nn.Linear(64, 10),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map N x 3 x 32 x 32 floats to N x 10 logits."""
        logits: torch.Tensor = self.model(images)
        return logits


def epochs(dataset: ImageDataset, *, relu: bool) -> Iterator[float]:
    """Train without a limit; yield the images per second of each epoch."""
    torch.manual_seed(0)
    model = Network(relu=relu).train()
    loss = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    loader = DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=0)
    while True:
        started = time.perf_counter()
        for images, labels in loader:
            optimizer.zero_grad()
            loss(model(images), labels).backward()
            optimizer.step()
        yield len(dataset) / (time.perf_counter() - started)
