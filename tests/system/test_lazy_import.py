"""A lazy module is imported once, at its first use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cifar_exp.system.lazy_import import LazyModule

NAME = "a_module_for_a_test"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create an importable module that writes a line whenever it is imported."""
    path = tmp_path / "imports.txt"
    path.touch()
    source = f"with open({str(path)!r}, 'a') as log: log.write('once ')\nvalue = [1]\n"
    (tmp_path / f"{NAME}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    return path


def test_is_not_imported_before_it_is_used(log: Path) -> None:
    LazyModule(NAME)
    assert log.read_text(encoding="utf-8") == ""
    assert NAME not in sys.modules


def test_is_imported_at_the_first_use_and_once(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = LazyModule(NAME)
    first = module.value
    monkeypatch.delitem(sys.modules, NAME)
    assert module.value is first
    assert log.read_text(encoding="utf-8") == "once "


def test_an_unknown_name_is_an_attribute_error(log: Path) -> None:
    module = LazyModule(NAME)
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = module.nothing_here
    assert log.exists()


def test_a_missing_module_is_an_error_at_its_first_use() -> None:
    module = LazyModule("no_such_module_anywhere")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        _ = module.value


def test_has_the_name_of_the_module() -> None:
    assert LazyModule("torch").__name__ == "torch"
