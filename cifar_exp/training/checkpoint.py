"""What a training needs to go on from its last epoch, in a file of this machine.

A checkpoint is an insurance, not a result: it is gone when its training ends, and one that is
missing, damaged or of something else costs the epochs it would have saved and nothing more.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import torch

from cifar_exp.components.metrics.scores import Scores
from cifar_exp.experiment import TrialConfig
from cifar_exp.system import paths
from cifar_exp.training import loop
from cifar_exp.training.loop import EpochMetrics

FORMAT = 2
SECONDS_BETWEEN = 5.0  # of training: what takes less is cheaper to repeat than to keep
MOST_SHARE = 0.05  # of the time may go into writing checkpoints, however large they are
DIGEST_BYTES = hashlib.sha256().digest_size
WRONG = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
)
"""What reading, or putting to use, a file that is no good checkpoint may raise."""

_log = logging.getLogger(__name__)


class UnfitError(ValueError):
    """A file is no checkpoint of this training."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Checkpoint:
    """A training after an epoch: tensors, numbers and the names of settings, and nothing else.

    The order of images and all draws of an epoch follow from its number, so `random` matters only
    to code that draws outside of epochs.
    """

    seconds: float
    """Spent on the training up to here, by all of its attempts together."""
    history: Sequence[Mapping[str, Any]]
    """What each epoch measured: whoever records may not have written all of them."""
    model: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    random: torch.Tensor

    @classmethod
    def of(
        cls,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        epochs: Sequence[EpochMetrics],
        seconds: float,
    ) -> Checkpoint:
        """Describe a training; the tensors are those of the model and the optimizer, not copies."""
        return cls(
            seconds=seconds,
            history=[asdict(metrics) for metrics in epochs],
            model=dict(model.state_dict()),
            optimizer=optimizer.state_dict(),
            random=torch.get_rng_state(),
        )

    def epochs(self) -> list[EpochMetrics]:
        """Return what each epoch measured, from the first one on.

        Raises:
            One of WRONG: The history is not one.
        """
        return [EpochMetrics(**{**held, "val": Scores(**held["val"])}) for held in self.history]

    def restore(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Bring a new model and its optimizer to where the training was.

        Raises:
            One of WRONG: They are not of the model's or the optimizer's kind; both are in between.
        """
        model.load_state_dict(dict(self.model))
        optimizer.load_state_dict(dict(self.optimizer))
        torch.set_rng_state(self.random)


class Keeper(Protocol):
    """Keeps the checkpoint of one training."""

    def load(self) -> Checkpoint | None:
        """Return the checkpoint, if there is one."""

    def save_in_time(self, state: Callable[[], Checkpoint]) -> bool:
        """Replace the checkpoint, if enough has been trained since; say whether it was."""

    def warn(self, error: Exception) -> None:
        """Say why the checkpoint is not used."""


class NoCheckpoint:
    """Keeps nothing: for a training that nobody goes on with."""

    def load(self) -> Checkpoint | None:
        """Return none."""

    def save_in_time(self, state: Callable[[], Checkpoint]) -> bool:  # noqa: ARG002
        """Save none."""
        return False

    def warn(self, error: Exception) -> None:
        """Do nothing."""


class CheckpointFile:
    """The one checkpoint of a training.

    Args:
        name: The name of the file, see `paths.checkpoint_name`.
        key: What the training depends on, see `key_of`; a checkpoint of another key is not used.
    """

    def __init__(self, name: str, key: str) -> None:
        self.path = path_of(name)
        self.key = key
        self._next = time.monotonic() + SECONDS_BETWEEN

    def load(self) -> Checkpoint | None:
        """Read the checkpoint, if there is a whole one of this training."""
        try:
            return _read(self.path, self.key)
        except FileNotFoundError:
            return None
        except WRONG as error:
            self.warn(error)
            return None

    def save_in_time(self, state: Callable[[], Checkpoint]) -> bool:
        """Replace the checkpoint, if enough has been trained since; say whether it was.

        A disk that is full, or a folder that cannot be written, leaves the earlier one in place.
        """
        begun = time.monotonic()
        if begun < self._next:
            return False
        try:
            _write(self.path, self.key, state())
        except OSError as error:
            _temporary(self.path).unlink(missing_ok=True)
            _log.warning("no checkpoint is kept: %s", error)
        now = time.monotonic()
        self._next = now + max(SECONDS_BETWEEN, (now - begun) / MOST_SHARE)
        return True

    def warn(self, error: Exception) -> None:
        """Say why the checkpoint is not used."""
        reason = str(error).strip().partition("\n")[0]
        _log.warning("checkpoint %s is not used, training starts anew: %s", self.path, reason)


def path_of(name: str) -> Path:
    """Return the file of a checkpoint."""
    return paths.checkpoints() / f"{name}.pt"


def remove(name: str) -> None:
    """Delete a checkpoint, and what a killed process has left of the next one."""
    for path in (path_of(name), _temporary(path_of(name))):
        path.unlink(missing_ok=True)


def key_of(config: TrialConfig, fingerprint: str) -> str:
    """Hash all that a training here depends on: settings, data, threads, device and torch."""
    hardware = f"{torch.get_num_threads()} {loop.device().type} {torch.__version__}"
    text = f"{FORMAT} {hardware} {fingerprint} {config.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Put a file in place at once: whenever this is killed, the old one or the new one is there."""
    content = io.BytesIO()
    held = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    torch.save({"key": key, **held}, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary(path).open("wb") as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    _temporary(path).replace(path)


def _read(path: Path, key: str) -> Checkpoint:
    """Read a checkpoint; nothing in the file can run, whoever has written it."""
    content = path.read_bytes()
    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise UnfitError("the file is damaged")
    held = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if held.pop("key") != key:
        raise UnfitError("it is of another training, data set or version")
    return Checkpoint(**{**held, "seconds": float(held["seconds"])})


def _temporary(path: Path) -> Path:
    return path.with_suffix(".tmp")
