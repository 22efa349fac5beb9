"""The same training with Lightning's Trainer, with all optional features switched off."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from benchmarks.loaders import LOADERS
from benchmarks.notes_loop import LEARNING_RATE, ImageDataset, Network
from cifar_exp.components.precision import Precision

TRAINER_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


def epochs(
    images: ImageDataset, precision: Precision, loader: str, *, channels_last: bool
) -> Iterator[float]:
    """Train without a limit; yield the images per second of each epoch."""
    data = LOADERS[loader](images)
    yield from fits(data, len(images), precision, channels_last=channels_last)


def fits(
    data: DataLoader[Any],
    num_images: int,
    precision: Precision,
    *,
    channels_last: bool,
    accelerator: str = "cpu",
) -> Iterator[float]:
    """Train without a limit on the batches of a loader; see `epochs`."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(0, verbose=False)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    classifier, clock = Classifier(layout), Clock()
    while True:
        _trainer(precision, clock, accelerator).fit(classifier, data)
        yield num_images / clock.seconds


class Classifier(lightning.LightningModule):
    """The network of the notes with cross-entropy and SGD, in one memory layout."""

    def __init__(self, layout: torch.memory_format) -> None:
        super().__init__()
        self.layout = layout
        self.network = Network(relu=True).to(memory_format=layout)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
        """Return the loss of a batch."""
        images, labels = batch
        logits = self.network(images.contiguous(memory_format=self.layout))
        return torch.nn.functional.cross_entropy(logits, labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return SGD."""
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE)


class Clock(lightning.Callback):
    """Measures the training epoch only, without the Trainer's work before and after it."""

    seconds = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        _wait_for_gpu()
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop the clock."""
        _wait_for_gpu()
        self.seconds = time.perf_counter() - self.started


def _wait_for_gpu() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _trainer(precision: Precision, clock: Clock, accelerator: str) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=TRAINER_PRECISION[precision],  # type: ignore[arg-type]
        max_epochs=1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
