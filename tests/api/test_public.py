"""The public names: documented, light to import, with an example each."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_type_hints

import pytest

import cifar_exp
from cifar_exp.experiment import Experiment
from cifar_exp.experiment.keys import Keys

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
MARKS = {"dataset", "loss", "network", "optimizer"}  # examples: docs/plugins.md
PLAIN = {"EpochMetrics"}  # is not created by a user


def test_the_page_names_all_that_is_public() -> None:
    code = " ".join(re.findall(r"`([^`\n]+)`", PAGE.read_text(encoding="utf-8")))
    words = set(re.findall(r"\w+", code))
    assert set(cifar_exp.__all__) <= words
    assert sorted(cifar_exp.__all__) == cifar_exp.__all__
    assert set(cifar_exp.__all__) <= set(dir(cifar_exp))


@pytest.mark.parametrize("name", sorted({*cifar_exp.__all__} - MARKS - PLAIN))
def test_every_name_has_a_docstring_with_an_example_that_uses_it(name: str) -> None:
    named = getattr(cifar_exp, name)
    text = f"{inspect.getdoc(named)}\n{inspect.getdoc(named.__init__)}"
    [example] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ast.parse(textwrap.dedent(example))
    assert "cifar_exp." in example


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'rum'"):
        cifar_exp.rum  # noqa: B018


def test_the_import_and_a_wrong_definition_load_no_large_library() -> None:
    program = """
import sys, cifar_exp
assert "pydantic" not in sys.modules
try:
    cifar_exp.Experiment(name="mine", epochs=0)
except cifar_exp.BadInput as error:
    print(error)
large = {"torch", "mlflow", "optuna", "numpy", "pandas", "matplotlib", "sklearn", "scipy"}
assert not large & {name.partition(".")[0] for name in sys.modules}
"""
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "epochs: should be at least 1\n" in done.stdout


def test_the_arguments_of_an_experiment_are_its_keys() -> None:
    assert get_type_hints(Keys).keys() == Experiment.model_fields.keys()
    required = {name for name, field in Experiment.model_fields.items() if field.is_required()}
    assert Keys.__required_keys__ == required
