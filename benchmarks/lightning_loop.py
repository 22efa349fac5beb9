"""The same training by Lightning's Trainer, everything that is not training switched off."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import lightning
import torch

from benchmarks.loaders import LOADERS
from benchmarks.notes_loop import LEARNING_RATE, ImageDataset, Network
from cifar_exp.components.precision import Precision

TRAINER_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}


def epochs(
    images: ImageDataset, precision: Precision, loader: str, *, channels_last: bool
) -> Iterator[float]:
    """Fit without end, an epoch at a time; yield the images per second of each epoch."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    lightning.seed_everything(0, verbose=False)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    classifier, clock, data = Classifier(layout), Clock(), LOADERS[loader](images)
    while True:
        _trainer(precision, clock).fit(classifier, data)
        yield len(images) / clock.seconds


class Classifier(lightning.LightningModule):
    """The network of the notes with cross-entropy and SGD, in one layout of memory."""

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
    """Times the training epoch, without what the Trainer does before and after it."""

    seconds = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.started


def _trainer(precision: Precision, clock: Clock) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        precision=TRAINER_PRECISION[precision],  # type: ignore[arg-type]
        max_epochs=1,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
