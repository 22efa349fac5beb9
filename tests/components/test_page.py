"""docs/components.md is up to date with the components, and its example works as described."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cifar_exp.components import KINDS, components_of
from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.components.losses.distance import Brier
from cifar_exp.components.table import table_of
from scripts.components_page import PAGE, written

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "update it: make generate"
    for kind in set(KINDS) - {"datasets"}:
        for name in components_of(kind):
            assert f"| `{name}` | " in page


def test_a_name_that_is_in_use_is_refused() -> None:
    class Another(Brier):
        name = "mse"

    with pytest.raises(ValueError, match="'mse'"):
        table_of(Loss)  # type: ignore[type-abstract]  # it is a base
    del Another


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the package and its loss tests, with the page's code inserted as described."""
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("cifar_exp", "tests", "scripts", "docs", "experiments"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    [loss] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with (tmp_path / "cifar_exp/components/losses/distance.py").open("a") as file:
        file.write(f"\n\n{loss}")
    return tmp_path


# softmax(ln 1, ln 2, ln 5) = (1, 2, 5) / 8; of labels 2 and 0: 1 - 5/8 and 1 - 1/8.
VALUE = """
import math, torch
from cifar_exp.components import losses

def test_unhinged():
    logits = torch.tensor([[math.log(1), math.log(2), math.log(5)]] * 2)
    value = losses.LOSSES["unhinged"]()(logits, torch.tensor([2, 0]))
    torch.testing.assert_close(value, torch.tensor((3 / 8 + 7 / 8) / 2))
"""


@pytest.mark.chaos
def test_the_example_of_a_loss_is_one_class_and_passes_the_tests_of_every_loss(
    copied: Path,
) -> None:
    assert "unhinged" not in LOSSES
    (copied / "tests" / "test_value.py").write_text(VALUE)
    environment = {**os.environ, "PYTHONPATH": str(copied)}
    generate = (
        "python -m cifar_exp.experiment.schema > cifar_exp/experiment.schema.json && "
        "python scripts/components_page.py && python -m tests.golden"
    ).replace("python", sys.executable)
    subprocess.run(["sh", "-c", generate], cwd=copied, env=environment, check=True)
    files = [
        "tests/test_value.py",
        "tests/components/losses/test_losses.py",
        "tests/components/test_page.py::test_the_page_is_up_to_date",
        "tests/experiment/test_schema.py::test_committed_file_is_up_to_date",
        "tests/training/test_golden.py::test_every_loss_with_every_optimizer_is_in_the_file",
    ]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *files, "-k", "unhinged or not test_losses"],
        cwd=copied,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert int(re.findall(r"(\d+) passed", tested.stdout)[0]) >= 11
    assert "unhinged" in (copied / "docs" / "components.md").read_text().partition("## Adding")[0]
