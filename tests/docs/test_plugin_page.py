"""The page on plug-ins: its components pass their contract tests and are ranked, as written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cifar_exp.components.plugins import registry
from cifar_exp.testing import (
    check_augmentation,
    check_dataset,
    check_loss,
    check_network,
    check_optimizer,
    check_schedule,
)
from tests import plugins
from tests.bench import Bench
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "plugins.md"
CHECKS = {
    "losses": check_loss,
    "optimizers": check_optimizer,
    "models": check_network,
    "datasets": check_dataset,
    "augmentations": check_augmentation,
    "schedules": check_schedule,
}


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    with plugins.none_left():
        yield


def test_every_example_has_less_than_20_lines_and_passes_its_checks(tmp_path: Path) -> None:
    sources = blocks(PAGE, "python")
    assert all(len(source.splitlines()) < 20 for source in sources)
    paths = [tmp_path / f"{number}.py" for number in range(len(sources))]
    for path, source in zip(paths, sources, strict=True):
        path.write_text(source, encoding="utf-8")
    registry.load(registry.files(paths))
    found = [key for p in registry.loaded_plugins() for key in registry.components(p)]
    assert [kind for kind, _ in found] == list(CHECKS)
    for kind, name in found:
        CHECKS[kind](name)


def test_the_definition_runs_with_the_examples_in_one_file(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text("\n".join(blocks(PAGE, "python")), encoding="utf-8")
    plugins.load(path)
    [definition] = blocks(PAGE, "toml")
    ranking = bench.run(definition)
    names = {row.combination for row in ranking.combinations}
    assert names == {"cross_entropy+NormalizedSGD", "tempered+NormalizedSGD"}
    assert ranking.complete
