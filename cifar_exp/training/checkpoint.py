"""Checkpoints: local files from which an interrupted training resumes.

A checkpoint is not a result. It is deleted when its training ends. If it is missing, damaged or of
another training, the training starts from the beginning.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import torch

from cifar_exp.components.metrics.scores import Scores
from cifar_exp.experiment import TrialConfig
from cifar_exp.system import paths
from cifar_exp.training import hardware
from cifar_exp.training.loop import EpochMetrics

FORMAT = 4
SECONDS_BETWEEN = 5.0  # of training; a shorter one is cheaper to repeat than to save
MOST_SHARE = 0.05  # of the time is spent on writing checkpoints, at any size
DIGEST_BYTES = hashlib.sha256().digest_size
WRONG = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    pickle.PickleError,
)
"""Errors raised when an invalid checkpoint is read or restored, or one cannot be written."""

_log = logging.getLogger(__name__)


class UnfitError(ValueError):
    """A file is not a checkpoint of this training."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """The state of a training after an epoch: only tensors, numbers and names of settings.

    The order of images and all random draws of an epoch follow from its number, so `random` matters
    only for code that draws outside of epochs.
    """

    seconds: float
    """Wall time of the training so far, summed over all attempts."""
    history: Sequence[Mapping[str, Any]]
    """The metrics of each epoch, as some may not be recorded yet."""
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    random: torch.Tensor
    extra: Mapping[str, Any]
    """What the training keeps besides: `loss_memory`, the numbers of its loss, and `average`, the
    state of the average of the weights, or None."""

    @classmethod
    def of(
        cls,
        model: Mapping[str, Any],
        optimizer: Mapping[str, Any],
        epochs: Sequence[EpochMetrics],
        seconds: float,
        extra: Mapping[str, Any] | None = None,
    ) -> Checkpoint:
        """Return the state of a training; its tensors are not copied."""
        return cls(
            seconds=seconds,
            history=[asdict(metrics) for metrics in epochs],
            model=model,
            optimizer=optimizer,
            random=torch.get_rng_state(),
            extra=extra or {},
        )

    def epochs(self) -> list[EpochMetrics]:
        """Return the metrics of each epoch, from the first.

        Raises:
            One of WRONG: The history is invalid.
        """
        return [
            EpochMetrics(
                **{
                    **entries,
                    "val": Scores(**entries["val"]),
                    "val_ema": entries["val_ema"] and Scores(**entries["val_ema"]),
                }
            )
            for entries in self.history
        ]

    def restore(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Restore the state into a new model and its optimizer.

        Raises:
            One of WRONG: The state does not fit; model and optimizer may be partly restored.
        """
        model.load_state_dict(dict(self.model))
        optimizer.load_state_dict(dict(self.optimizer))
        torch.set_rng_state(self.random)


class Keeper(Protocol):
    """Loads and saves the checkpoint of one training."""

    def load(self) -> Checkpoint | None:
        """Return the checkpoint, if there is one."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint."""

    def warn(self, error: Exception) -> None:
        """Log why the checkpoint is not used."""


class NoCheckpoint:
    """Saves nothing, for a training that is never resumed."""

    def load(self) -> Checkpoint | None:
        """Return None."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Do nothing."""

    def warn(self, error: Exception) -> None:
        """Do nothing."""


class Pace:
    """Decides after which epochs checkpoints are saved; shared by the trainings of a group.

    Checkpoints are saved at most every SECONDS_BETWEEN, and take at most MOST_SHARE of the time.
    """

    def __init__(self) -> None:
        self._epoch = 0
        self._is_due = False
        self._seconds = 0.0
        self._last = time.monotonic()

    def is_due(self, epoch: int) -> bool:
        """Return whether to save after an epoch, which is the same for all trainings."""
        if epoch != self._epoch:
            pause = max(SECONDS_BETWEEN, self._seconds / MOST_SHARE)
            self._epoch, self._is_due = epoch, time.monotonic() >= self._last + pause
            self._seconds = 0.0 if self._is_due else self._seconds
        return self._is_due

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Measure the time that saving takes."""
        started = time.monotonic()
        yield
        self._last = time.monotonic()
        self._seconds += self._last - started


class CheckpointFile:
    """The checkpoint file of a training.

    Args:
        name: The name of the file, see `paths.checkpoint_name`.
        key: The hash from `key_of`; a checkpoint with another key is not used.
    """

    def __init__(self, name: str, key: str) -> None:
        self.path = path_of(name)
        self.key = key

    def load(self) -> Checkpoint | None:
        """Return the checkpoint if the file exists, is complete and is of this training."""
        try:
            return _read(self.path, self.key)
        except FileNotFoundError:
            return None
        except WRONG as error:
            self.warn(error)
            return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint.

        If the disk is full, the folder is not writable or the state cannot be stored, as that of an
        optimizer of a plug-in, the earlier checkpoint stays.
        """
        try:
            _write(self.path, self.key, checkpoint)
        except WRONG as error:
            _temporary(self.path).unlink(missing_ok=True)
            _log.warning("no checkpoint is saved: %s", error)

    def warn(self, error: Exception) -> None:
        """Log why the checkpoint is not used."""
        reason = str(error).strip().partition("\n")[0]
        _log.warning("checkpoint %s is not used, training restarts: %s", self.path, reason)


def keeper_of(name: str | None, key: str) -> Keeper:
    """Return the keeper of a training's checkpoint; without a name nothing is saved."""
    return NoCheckpoint() if name is None else CheckpointFile(name, key)


def path_of(name: str) -> Path:
    """Return the path of a checkpoint."""
    return paths.checkpoints() / f"{name}.pt"


def exists(name: str) -> bool:
    """Return whether there is a checkpoint of this name."""
    return path_of(name).exists()


def remove(name: str) -> None:
    """Delete a checkpoint and its temporary file."""
    for path in (path_of(name), _temporary(path_of(name))):
        path.unlink(missing_ok=True)


def key_of(config: TrialConfig, fingerprint: str, form: str = "alone") -> str:
    """Return the hash of all that a training depends on: settings, data, threads, device, torch.

    Args:
        config: The training.
        fingerprint: The hash of the data set.
        form: How the state is stored: that of a network trained alone or in a group.
    """
    machine = f"{torch.get_num_threads()} {hardware.device().type} {torch.__version__}"
    text = f"{FORMAT} {form} {machine} {fingerprint} {config.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write the file atomically: after a kill, either the old or the new file exists."""
    content = io.BytesIO()
    entries = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    torch.save({"key": key, **entries}, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path).open("wb") as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    _temporary(path).replace(path)


def _read(path: Path, key: str) -> Checkpoint:
    """Read a checkpoint; `weights_only` prevents that code in the file runs."""
    content = path.read_bytes()
    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise UnfitError("the file is damaged")
    entries = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if entries.pop("key") != key:
        raise UnfitError("it is of another training, data set or version")
    return Checkpoint(**{**entries, "seconds": float(entries["seconds"])})


def _temporary(path: Path) -> Path:
    return path.with_suffix(".tmp")
