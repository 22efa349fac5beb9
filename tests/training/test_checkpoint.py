from __future__ import annotations

import errno
import io
import itertools
import os
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES, Constant
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import checkpoint, hardware, loop, untrained
from cifar_exp.training.checkpoint import Checkpoint, CheckpointFile, Pace, key_of
from cifar_exp.training.loop import EpochMetrics
from tests import tiny

pytestmark = pytest.mark.usefixtures("keep_every_epoch")


@pytest.fixture
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images)


class Training:
    """A network with its optimizer, and the metrics of its epochs."""

    def __init__(self, config: TrialConfig, data: Dataset) -> None:
        self.config = config
        self.data = data
        self.model = untrained.build_model(config, data)
        self.optimizer = untrained.build_optimizer(self.model, config)
        self.trained: list[EpochMetrics] = []

    def train(self, epochs: int) -> list[EpochMetrics]:
        done = len(self.trained)
        steps = loop.train(self.model, self.config, self.data, self.optimizer, done)
        self.trained += [metrics for _, metrics in zip(range(epochs), steps, strict=False)]
        return self.trained[done:]

    def checkpoint(self) -> Checkpoint:
        return Checkpoint.of(
            self.model.state_dict(), self.optimizer.state_dict(), self.trained, 1.5
        )

    def resume_from(self, saved: Checkpoint) -> None:
        saved.restore(self.model, self.optimizer)
        self.trained = saved.epochs()


def measured(epochs: list[EpochMetrics]) -> list[tuple[Any, ...]]:
    return [(each.epoch, each.train_loss, each.val) for each in epochs]


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor of a state, at any depth."""
    match value:
        case torch.Tensor():
            yield value
        case dict():
            for each in value.values():
                yield from tensors(each)
        case list() | tuple():
            for each in value:
                yield from tensors(each)


def file_of(config: TrialConfig, data: Dataset) -> CheckpointFile:
    return CheckpointFile("run", key_of(config, data.fingerprint))


SCHEDULABLE = sorted(name for name in OPTIMIZERS if OPTIMIZERS[name].schedulable)
# Every schedule with some optimizer, and every optimizer with some schedule.
SCHEDULE_OF = {
    optimizer: SCHEDULES[schedule](warmup=0.1)
    for optimizer, schedule in zip(SCHEDULABLE, itertools.cycle(SCHEDULES), strict=False)
}


@pytest.mark.parametrize(
    ("optimizer", "model", "batch_size"),
    [
        *((name, "seed_cnn_relu", 16) for name in sorted(OPTIMIZERS)),
        # It has buffers, which are not in the optimizer. A step takes seconds: one per epoch.
        ("adamw", "resnet18", 64),
    ],
)
def test_two_epochs_and_two_more_are_four(
    images: Path, data: Dataset, optimizer: str, model: str, batch_size: int
) -> None:
    optimizers = f"{optimizer} = {{ lr = {{ low = 1e-4, high = 0.1 }} }}"
    config = tiny.trial_config(images, lr=3e-3, optimizers=optimizers).model_copy(
        update={
            "model": read_model(model),
            "epochs": 4,
            "batch_size": batch_size,
            "schedule_settings": SCHEDULE_OF.get(optimizer, Constant()),
        }
    )
    whole = Training(config, data)
    expected = whole.train(4)

    first = Training(config, data)
    begun = first.train(2)
    file = file_of(config, data)
    file.save(first.checkpoint())
    torch.manual_seed(123)  # another process has other random numbers
    second = Training(config, data)
    saved = file.load()
    assert saved is not None
    second.resume_from(saved)
    assert measured(begun + second.train(2)) == measured(expected)
    for one, other in zip(
        tensors([whole.model.state_dict(), whole.optimizer.state_dict()]),
        tensors([second.model.state_dict(), second.optimizer.state_dict()]),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_checkpoint_is_loaded_completely(config: TrialConfig, data: Dataset) -> None:
    begun = Training(config, data)
    begun.train(1)
    file = file_of(config, data)
    file.save(begun.checkpoint())
    random = torch.get_rng_state()
    torch.rand(3)
    saved = file.load()
    assert saved is not None
    assert (saved.epochs(), saved.seconds) == (begun.trained, 1.5)
    begun.resume_from(saved)
    assert torch.equal(torch.get_rng_state(), random)
    assert [path.name for path in file.path.parent.iterdir()] == ["run.pt"]
    file.path.with_suffix(".tmp").touch()  # left by a killed process
    checkpoint.remove("run")
    assert file.load() is None
    assert list(file.path.parent.iterdir()) == []
    checkpoint.remove("run")  # it is removed already


def test_another_training_ignores_it(
    config: TrialConfig, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    file_of(config, data).save(Training(config, data).checkpoint())
    for key in (
        key_of(config.model_copy(update={"lr": 0.06}), data.fingerprint),
        key_of(config.model_copy(update={"seed": 1}), data.fingerprint),
        key_of(config, "other data"),
    ):
        caplog.clear()
        assert CheckpointFile("run", key).load() is None
        assert "another training" in caplog.text


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (checkpoint, "FORMAT", 99),
        (torch, "__version__", "99.0"),
        (torch, "get_num_threads", lambda: 77),
        (hardware, "device", lambda: torch.device("meta")),
    ],
)
def test_it_depends_on_format_torch_threads_and_device(
    config: TrialConfig,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    value: Any,
) -> None:
    file_of(config, data).save(Training(config, data).checkpoint())
    assert file_of(config, data).load() is not None
    monkeypatch.setattr(owner, name, value)
    assert file_of(config, data).load() is None


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 500, 5000, -1])
def test_a_truncated_file_is_reported_and_ignored(
    config: TrialConfig, data: Dataset, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    file = file_of(config, data)
    file.save(Training(config, data).checkpoint())
    file.path.write_bytes(file.path.read_bytes()[:size])
    assert file.load() is None
    assert "is not used, training restarts" in caplog.text


def test_a_single_changed_bit_is_detected(config: TrialConfig, data: Dataset) -> None:
    file = file_of(config, data)
    file.save(Training(config, data).checkpoint())
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(content)
    assert file.load() is None


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("pickled", [False, True])
def test_no_code_in_a_file_is_executed(
    config: TrialConfig,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pickled: bool,
    force: bool,
) -> None:
    if force:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    canary = tmp_path / "canary"
    file = file_of(config, data)
    saved = {"key": file.key, "seconds": Canary(canary)}
    body = io.BytesIO()
    body.write(pickle.dumps(saved)) if pickled else torch.save(saved, body)
    seal(file, body.getvalue())
    assert file.load() is None
    assert not canary.exists()


def seal(file: CheckpointFile, body: bytes) -> None:
    """Write a file with any content and the correct digest."""
    import hashlib

    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_bytes(hashlib.sha256(body).digest() + body)


@pytest.mark.parametrize(
    "saved",
    [
        [1, 2],
        {},
        {"key": None, "seconds": "one"},
        {"key": None, "history": [], "seconds": "1 s", "model": {}, "optimizer": {}, "random": 1},
        {"key": None, "history": [], "seconds": 1, "model": {}, "optimizer": {}, "new": 1},
    ],
)
def test_other_contents_are_ignored(config: TrialConfig, data: Dataset, saved: Any) -> None:
    file = file_of(config, data)
    if isinstance(saved, dict) and "key" in saved:
        saved = {**saved, "key": file.key}
    body = io.BytesIO()
    torch.save(saved, body)
    seal(file, body.getvalue())
    assert file.load() is None


def test_a_full_disk_keeps_the_earlier_checkpoint(
    config: TrialConfig,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    begun = Training(config, data)
    begun.train(1)
    file = file_of(config, data)
    file.save(begun.checkpoint())
    begun.train(1)
    monkeypatch.setattr(os, "fsync", full)
    file.save(begun.checkpoint())
    assert "No space left" in caplog.text
    assert [path.name for path in file.path.parent.iterdir()] == ["run.pt"]
    saved = file.load()
    assert saved is not None
    assert [metrics.epoch for metrics in saved.epochs()] == [1]


def test_a_state_that_cannot_be_stored_ends_no_training(
    config: TrialConfig, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    file = file_of(config, data)
    state = Checkpoint.of({}, {"state": lambda: None}, [], 0.0)
    file.save(state)
    assert "no checkpoint is saved" in caplog.text
    assert file.load() is None


def test_short_epochs_are_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 5.0)
    pace = Pace()
    due = []
    for epoch in range(1, 13):
        clock[0] += 1.0
        due += [epoch] if pace.is_due(epoch) else []
        with pace.saving() if pace.is_due(epoch) else nullcontext():
            pass
    assert due == [5, 10]


def test_all_members_of_a_group_are_saved_after_the_same_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 5.0)
    monkeypatch.setattr(checkpoint, "MOST_SHARE", 0.5)
    pace = Pace()
    due = []
    for epoch in range(1, 30):
        clock[0] += 1.0
        for member in range(3):
            if pace.is_due(epoch):
                due.append((epoch, member))
                with pace.saving():
                    clock[0] += 2.0
    # three times two seconds are half of the time until the next saves
    assert due == [(epoch, member) for epoch in (5, 17, 29) for member in range(3)]


def test_a_slow_disk_takes_a_small_share_of_the_time(
    config: TrialConfig, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def slow(_: int) -> None:
        clock[0] += 3.0

    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(checkpoint, "MOST_SHARE", 0.1)
    monkeypatch.setattr(os, "fsync", slow)
    file, begun, pace = file_of(config, data), Training(config, data).checkpoint(), Pace()
    written, epoch = 0, 0
    while clock[0] < 330:  # epochs of 1 s; after every 33rd, saving takes 3 s
        clock[0] += 1.0
        epoch += 1
        if pace.is_due(epoch):
            with pace.saving():
                file.save(begun)
            written += 1
    assert written == 10
