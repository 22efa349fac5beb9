"""The example in docs/components.md does what the page says, copied as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "components.md"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the package and its loss tests, with the page's code put where the page says."""
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("cifar_exp", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    loss, its_import, table = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    losses = tmp_path / "cifar_exp" / "components" / "losses"
    with (losses / "distance.py").open("a") as kin:
        kin.write(f"\n\n{loss}")
    head, _, entry = table.removesuffix("}\n").partition("    ...\n")
    docstring, imports, rest = (losses / "__init__.py").read_text().partition("\nfrom ")
    before, after = rest.split(head)
    whole = f"{docstring}\n{its_import}{imports.lstrip()}{before}{head}{entry}{after}"
    (losses / "__init__.py").write_text(whole)
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


def test_the_example_of_a_loss_passes_the_tests_of_every_loss(copied: Path) -> None:
    (copied / "tests" / "test_value.py").write_text(VALUE)
    files = ["tests/test_value.py", "tests/components/losses/test_losses.py"]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *files, "-k", "unhinged"],
        cwd=copied,
        env={**os.environ, "PYTHONPATH": str(copied)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert int(re.findall(r"(\d+) passed", tested.stdout)[0]) >= 9
