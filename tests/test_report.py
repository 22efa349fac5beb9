"""The files of a ranking: they are what their names say, and the same each time."""

from __future__ import annotations

import csv
import io
import json
import struct
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

from cifar_exp.comparison import Ranking
from cifar_exp.report import ranking_figure, write
from tests.rankings import ranking, row

FILES = ["ranking.csv", "ranking.json", "ranking.md", "ranking.png", "ranking.svg"]
RANKINGS = {
    "one combination": ranking(row(1, "mse+sgd")),
    "one seed": ranking(row(1, "mse+sgd", seeds=1, test_accuracies=(0.5,), test_accuracy_std=None)),
    "sixty combinations": ranking(*(row(n, f"loss_{n}+optimizer-{n}") for n in range(1, 61))),
    "none with a result": ranking(row(None, "mse+sgd"), row(None, "l1+sgd")),
    "the longest names": ranking(row(1, f"{64 * 'W'}+{64 * 'W'}"), row(2, "mse+sgd")),
    "equal accuracies": ranking(
        row(1, "mse+sgd", test_accuracies=(1.0, 1.0), test_accuracy_std=0.0)
    ),
}
every_ranking = pytest.mark.parametrize("given", RANKINGS.values(), ids=RANKINGS.keys())


def texts_of_svg(path: Path) -> list[str]:
    texts = ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()).strip() for text in texts]


@every_ranking
def test_files(given: Ranking, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = write(given, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == FILES
    assert all(path.stat().st_size > 100 for path in paths)
    _check_png(tmp_path / "new" / "folder" / "ranking.png")
    _check_texts(given, tmp_path / "new" / "folder")


def _check_png(path: Path) -> None:
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content[12:16] == b"IHDR"
    assert width > 700
    assert height > 200


def _check_texts(given: Ranking, folder: Path) -> None:
    names = [r.combination for r in given.combinations]
    document = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
    assert [r["combination"] for r in document["combinations"]] == names
    lines = csv.DictReader(io.StringIO((folder / "ranking.csv").read_text(encoding="utf-8")))
    assert [line["combination"] for line in lines] == names
    table, _, _ = (folder / "ranking.md").read_text(encoding="utf-8").partition("\n\n")
    assert len(table.splitlines()) == 2 + len(names)
    texts = texts_of_svg(folder / "ranking.svg")
    ranked = [f"{r.rank}. {r.combination}" for r in given.combinations if r.rank is not None]
    assert [text for text in texts if "+" in text] == ranked
    assert "small" in texts


def test_the_same_ranking_gives_the_same_bytes(tmp_path: Path) -> None:
    given = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"), row(None, "bce+sgd"))
    for name in ("first", "second"):
        write(given, tmp_path / name)
    for name in FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_files_that_are_there_are_replaced(tmp_path: Path) -> None:
    write(ranking(row(1, "mse+sgd"), row(2, "l1+sgd")), tmp_path)
    write(ranking(row(1, "bce+sgd")), tmp_path)
    assert "mse+sgd" not in (tmp_path / "ranking.md").read_text(encoding="utf-8")


def test_the_figure_shows_every_seed_mean_and_standard_deviation() -> None:
    [axes] = ranking_figure(ranking(row(1, "mse+sgd"))).axes
    seeds, *_ = axes.lines
    assert np.asarray(seeds.get_xdata()) == pytest.approx([50.0, 52.0, 54.0])
    [bar] = axes.containers
    assert isinstance(bar, ErrorbarContainer)
    mean, _, (line,) = bar.lines
    assert mean is not None
    assert np.asarray(mean.get_xdata()) == pytest.approx([52.0])
    assert np.asarray(line.get_paths()[0].vertices)[:, 0] == pytest.approx(
        [50.0, 54.0]
    )  # 2 points each way


def test_the_best_is_at_the_top() -> None:
    [axes] = ranking_figure(ranking(row(1, "mse+sgd"), row(2, "l1+sgd"))).axes
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1. mse+sgd", "2. l1+sgd"]
