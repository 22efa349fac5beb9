"""Conditions for captured steps on a GPU, as far as they can be tested on a CPU."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import untrained
from cifar_exp.training.group import captured, member
from cifar_exp.training.group.program import Program
from cifar_exp.training.messages import TooWide

CASES = [
    *({"loss": name, "loss_settings": LOSSES[name]()} for name in LOSSES),
    *({"optimizer": name, "optimizer_settings": OPTIMIZERS[name]()} for name in OPTIMIZERS),
    *({"schedule_settings": SCHEDULES[name](warmup=0.1)} for name in SCHEDULES),
    *({"augment": AUGMENTATIONS[name]()} for name in AUGMENTATIONS),
]


def config(**changes: Any) -> TrialConfig:
    base = TrialConfig(
        model=read_model("seed_cnn_relu"),
        loss="mse",
        loss_settings=LOSSES["mse"](),
        optimizer="sgd",
        optimizer_settings=OPTIMIZERS["sgd"](),
        lr=0.01,
        batch_size=8,
        epochs=1,
        seed=0,
    )
    return base.model_copy(update=changes)


def program_of(data: Dataset, **changes: Any) -> Program:
    configs = [config(**changes)] * 2
    initial = untrained.initial_model(read_model("seed_cnn_relu"), data, 0)
    return Program(configs, initial, data.train, [None, None], data.num_classes)


class NoValueIsRead(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "_local_scalar_dense" not in str(func)
        return func(*args, **(kwargs or {}))


@contextmanager
def no_tensor_from_the_host(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: Any, **__: Any) -> torch.Tensor:
        raise AssertionError("a tensor of Python numbers is copied to the device")

    with monkeypatch.context() as patch:
        for name in ("tensor", "as_tensor", "from_numpy"):
            patch.setattr(torch, name, refuse)
        yield


@pytest.mark.parametrize(
    "changes", CASES, ids=lambda c: str(next(iter(c.values()))).partition(",")[0]
)
def test_a_step_can_be_captured(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Except in a warm-up, it reads no tensor values and copies no numbers from the host."""
    trained = program_of(data, **changes)
    chosen = torch.arange(8)
    draws = {purpose: torch.rand(8) for purpose in config(**changes).augment.all_purposes}
    batch = {"chosen": chosen, "progress": torch.zeros(()), **draws}
    trained._step_on(batch)
    with no_tensor_from_the_host(monkeypatch), NoValueIsRead():  # type: ignore[no-untyped-call]
        trained._step_on(batch)


def test_a_program_is_freed_at_once(data: Dataset) -> None:
    """Its graph uses much GPU memory, which the next program needs."""
    trained = program_of(data)
    trained.train_epoch(1)
    freed = weakref.ref(trained)
    gc.disable()
    try:
        del trained
        assert freed() is None
    finally:
        gc.enable()


def test_a_capture_that_runs_out_of_memory_divides_the_group(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        finally:
            raise RuntimeError("the capture was invalidated")

    monkeypatch.setattr(captured.CapturedStep, "__call__", fail)
    group = member.Together([config()] * 4, data)
    with pytest.raises(TooWide) as caught:
        group.train_epoch(0, 1)
    assert caught.value.width == 2
