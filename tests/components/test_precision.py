from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from cifar_exp.components.precision import BF16_INSTRUCTIONS, Precision, resolve
from tests import tiny


@pytest.mark.parametrize("choice", ["fp32", "bf16"])
def test_a_named_precision_is_that_one(choice: Precision) -> None:
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


def test_auto_has_the_identity_of_what_it_stands_for(images: Path) -> None:
    def identity(precision: str) -> str:
        experiment = tiny.experiment(images, top=f'precision = "{precision}"')
        return experiment.identity(experiment.combinations()[0], "0")

    assert identity("auto") == identity(resolve("auto"))
    assert identity("fp32") != identity("bf16")
