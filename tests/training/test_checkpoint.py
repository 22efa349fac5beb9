from __future__ import annotations

import errno
import io
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
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import checkpoint, loop
from cifar_exp.training.checkpoint import Checkpoint, CheckpointFile, Pace, key_of
from cifar_exp.training.loop import EpochMetrics
from tests import tiny

pytestmark = pytest.mark.usefixtures("keep_every_epoch")


@pytest.fixture
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images)


class Training:
    """A network with its optimizer, and the epochs that it is trained for."""

    def __init__(self, config: TrialConfig, data: Dataset) -> None:
        self.config = config
        self.data = data
        self.model = loop.build_model(config, data)
        self.optimizer = loop.build_optimizer(self.model, config)
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

    def go_on_from(self, held: Checkpoint) -> None:
        held.restore(self.model, self.optimizer)
        self.trained = held.epochs()


def measured(epochs: list[EpochMetrics]) -> list[tuple[Any, ...]]:
    return [(each.epoch, each.train_loss, each.val) for each in epochs]


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Give every tensor of a state, however deep it stands."""
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


@pytest.mark.parametrize(
    ("optimizer", "model", "batch_size"),
    [
        *((name, "seed_cnn_relu", 16) for name in sorted(OPTIMIZERS)),
        # Its buffers no optimizer knows. A step of it takes seconds: one an epoch will do.
        ("adamw", "resnet18", 64),
    ],
)
def test_two_epochs_and_two_more_are_four(
    images: Path, data: Dataset, optimizer: str, model: str, batch_size: int
) -> None:
    optimizers = f"{optimizer} = {{ lr = {{ low = 1e-4, high = 0.1 }} }}"
    config = tiny.trial_config(images, lr=3e-3, optimizers=optimizers).model_copy(
        update={"model": model, "epochs": 4, "batch_size": batch_size}
    )
    whole = Training(config, data)
    expected = whole.train(4)

    first = Training(config, data)
    begun = first.train(2)
    file = file_of(config, data)
    file.save(first.checkpoint())
    torch.manual_seed(123)  # another process draws otherwise
    second = Training(config, data)
    held = file.load()
    assert held is not None
    second.go_on_from(held)
    assert measured(begun + second.train(2)) == measured(expected)
    for one, other in zip(
        tensors([whole.model.state_dict(), whole.optimizer.state_dict()]),
        tensors([second.model.state_dict(), second.optimizer.state_dict()]),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_checkpoint_comes_back_whole(config: TrialConfig, data: Dataset) -> None:
    begun = Training(config, data)
    begun.train(1)
    file = file_of(config, data)
    file.save(begun.checkpoint())
    random = torch.get_rng_state()
    torch.rand(3)
    held = file.load()
    assert held is not None
    assert (held.epochs(), held.seconds) == (begun.trained, 1.5)
    begun.go_on_from(held)
    assert torch.equal(torch.get_rng_state(), random)
    assert [path.name for path in file.path.parent.iterdir()] == ["run.pt"]
    file.path.with_suffix(".tmp").touch()  # as a killed process leaves it
    checkpoint.remove("run")
    assert file.load() is None
    assert list(file.path.parent.iterdir()) == []
    checkpoint.remove("run")  # as it may have been before


def test_another_training_takes_no_notice_of_it(
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
        (loop, "device", lambda: torch.device("meta")),
    ],
)
def test_it_is_of_its_format_torch_threads_and_device(
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
def test_a_file_that_is_cut_off_is_told_of_and_left_alone(
    config: TrialConfig, data: Dataset, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    file = file_of(config, data)
    file.save(Training(config, data).checkpoint())
    file.path.write_bytes(file.path.read_bytes()[:size])
    assert file.load() is None
    assert "is not used, training restarts" in caplog.text


def test_a_single_changed_bit_is_found(config: TrialConfig, data: Dataset) -> None:
    file = file_of(config, data)
    file.save(Training(config, data).checkpoint())
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(content)
    assert file.load() is None


class Canary:
    """Leaves a file wherever it is read by pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("pickled", [False, True])
def test_nothing_in_a_file_runs(
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
    held = {"key": file.key, "seconds": Canary(canary)}
    body = io.BytesIO()
    body.write(pickle.dumps(held)) if pickled else torch.save(held, body)
    seal(file, body.getvalue())
    assert file.load() is None
    assert not canary.exists()


def seal(file: CheckpointFile, body: bytes) -> None:
    """Write a file whose digest is right, whatever its content."""
    import hashlib

    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_bytes(hashlib.sha256(body).digest() + body)


@pytest.mark.parametrize(
    "held",
    [
        [1, 2],
        {},
        {"key": None, "seconds": "one"},
        {"key": None, "history": [], "seconds": "1 s", "model": {}, "optimizer": {}, "random": 1},
        {"key": None, "history": [], "seconds": 1, "model": {}, "optimizer": {}, "new": 1},
    ],
)
def test_other_contents_are_left_alone(config: TrialConfig, data: Dataset, held: Any) -> None:
    file = file_of(config, data)
    if isinstance(held, dict) and "key" in held:
        held = {**held, "key": file.key}
    body = io.BytesIO()
    torch.save(held, body)
    seal(file, body.getvalue())
    assert file.load() is None


def test_a_full_disk_leaves_the_earlier_one(
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
    held = file.load()
    assert held is not None
    assert [metrics.epoch for metrics in held.epochs()] == [1]


def test_cheap_epochs_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_all_members_of_a_group_are_kept_after_the_same_epoch(
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
    # three times two seconds are half of the time until the next ones
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
    while clock[0] < 330:  # epochs of a second, of which every 33rd is followed by 3 seconds
        clock[0] += 1.0
        epoch += 1
        if pace.is_due(epoch):
            with pace.saving():
                file.save(begun)
            written += 1
    assert written == 10
