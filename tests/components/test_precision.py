from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_exp.components.precision import (
    BF16_INSTRUCTIONS,
    NO_TF32,
    Precision,
    float32_products,
    resolve,
)
from cifar_exp.errors import Unavailable
from tests import rounding, tiny
from tests.rounding import DEFAULT, EXPECTED, Rounding


@pytest.mark.parametrize("choice", ["fp32", "bf16"])
def test_a_named_precision_is_used(choice: Precision) -> None:
    assert resolve(choice) == choice


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        *(({name: True, "avx2": True}, "bf16") for name in BF16_INSTRUCTIONS),
        ({"avx2": True, "avx512_f": True, "amx_bf16": False}, "fp32"),
        ({"neon": True}, "fp32"),
    ],
)
def test_auto_takes_bfloat16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: Mapping[str, bool], expected: Precision
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve("auto") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_asks_the_gpu_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, native: bool, expected: Precision
) -> None:
    def is_bf16_supported(*, including_emulation: bool) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert resolve("auto") == expected


def test_auto_has_the_identity_of_the_precision_it_selects(images: Path) -> None:
    def identity(precision: str) -> str:
        experiment = tiny.experiment(images, top=f'precision = "{precision}"')
        return experiment.identity(experiment.combinations()[0], "0")

    assert identity("auto") == identity(resolve("auto"))
    assert identity("fp32") != identity("bf16")


# TensorFloat-32, on machines with and without such a GPU.


def gpu(patch: pytest.MonkeyPatch, *, tf32: bool) -> None:
    """Simulate a GPU, with or without TensorFloat-32."""
    patch.setattr(torch.cuda, "is_available", lambda: True)
    patch.setattr(torch.cuda, "is_tf32_supported", lambda: tf32)
    patch.delenv(NO_TF32, raising=False)


@pytest.fixture
def _default_rounding() -> Iterator[None]:
    """Reset torch's default settings before and after the test."""
    rounding.reset()
    yield
    rounding.reset()


def refusal() -> str:
    """Return the message about tf32 before a training, which is the same as during one."""
    with pytest.raises(Unavailable) as before:
        resolve("tf32")
    with pytest.raises(Unavailable) as within, float32_products("tf32"):
        pytest.fail("it computes in another precision")
    assert str(within.value) == str(before.value)
    return str(before.value)


def test_tf32_is_used_if_the_gpu_supports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, tf32=True)
    assert resolve("tf32") == "tf32"


@pytest.mark.usefixtures("_default_rounding")
def test_tf32_is_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refusal() == (
        "precision tf32 needs a GPU with TensorFloat-32 (NVIDIA Ampere or newer), and this machine "
        "has none; use fp32, bf16 or auto"
    )
    assert Rounding.now() == DEFAULT


def test_tf32_is_refused_by_an_older_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, tf32=False)
    assert "(NVIDIA Ampere or newer)" in refusal()


def test_tf32_is_refused_if_a_variable_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, tf32=True)
    monkeypatch.setenv(NO_TF32, "0")
    assert refusal() == (
        "precision tf32 is turned off by NVIDIA_TF32_OVERRIDE=0; unset it, or use fp32"
    )
    monkeypatch.setenv(NO_TF32, "1")
    assert resolve("tf32") == "tf32"


def old_api_on() -> None:
    rounding.matrices.allow_tf32 = rounding.cudnn.allow_tf32 = True


def old_api_off() -> None:
    rounding.matrices.allow_tf32 = rounding.cudnn.allow_tf32 = False


def new_api_on() -> None:
    for setting in (rounding.matrices, rounding.cudnn.conv, rounding.cudnn.rnn):
        setting.fp32_precision = "tf32"


def new_api_off() -> None:
    for setting in (rounding.matrices, rounding.cudnn.conv, rounding.cudnn.rnn):
        setting.fp32_precision = "ieee"


def all_operations_on() -> None:
    rounding.every_operation.fp32_precision = "tf32"


@pytest.mark.usefixtures("_default_rounding")
@pytest.mark.parametrize(
    "earlier",
    [
        rounding.reset,
        old_api_on,
        old_api_off,
        new_api_on,
        new_api_off,
        all_operations_on,
    ],
)
def test_float32_products_are_exact_but_for_tf32(
    monkeypatch: pytest.MonkeyPatch, earlier: Callable[[], None]
) -> None:
    """With any earlier settings, in either API; they are restored afterwards."""
    gpu(monkeypatch, tf32=True)
    earlier()
    before = new_settings()
    for precision, expected in EXPECTED.items():
        with float32_products(precision):
            assert Rounding.now() == expected
        assert new_settings() == before


def new_settings() -> tuple[Any, ...]:
    """Return the settings of the newer API, which can always be read."""
    settings = (rounding.matrices, rounding.cudnn.conv, rounding.cudnn.rnn)
    return tuple(setting.fp32_precision for setting in settings)


@pytest.mark.usefixtures("_default_rounding")
def test_a_failed_training_restores_the_settings() -> None:
    with pytest.raises(ZeroDivisionError), float32_products("fp32"):
        _ = 1 / 0
    assert Rounding.now() == DEFAULT


def test_every_precision_has_its_own_identity(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu(monkeypatch, tf32=True)
    found = [tiny.experiment(images, top=f'precision = "{name}"') for name in EXPECTED]
    assert len({each.identity(each.combinations()[0], "0") for each in found}) == len(EXPECTED)
    trials = (each.trial(each.combinations()[0], {"lr": 1.0, "batch_size": 8}, 0) for each in found)
    assert [trial.precision for trial in trials] == list(EXPECTED)
