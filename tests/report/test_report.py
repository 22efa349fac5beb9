"""The files of a ranking: they are what their names say, and the same each time."""

from __future__ import annotations

import csv
import io
import json
import struct
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from cifar_exp.comparison import Ranking
from cifar_exp.comparison.statistics.survival import Point
from cifar_exp.comparison.time_to_target import timed, usual_target
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.report import Evidence, write
from cifar_exp.report.figures.colours import HUES, SHADES, colours, palette
from cifar_exp.report.figures.order import differences, heat_map, seeds
from tests.rankings import ranking, row

TEXTS = ["ranking.csv", "ranking.json", "ranking.md", "report.html"]
SIXTY = ranking(
    *(
        row(n, f"loss_{n % 12}+optimizer-{n // 12}", test_accuracies=(s, s + 0.01, s + 0.02))
        for n, s in ((n, 0.9 - n / 100) for n in range(60))
    )
)
RANKINGS = {
    "one combination": ranking(row(1, "mse+sgd")),
    "one seed": ranking(row(1, "mse+sgd", seeds=1, test_accuracies=(0.5,), test_accuracy_std=None)),
    "sixty combinations": SIXTY,
    "none with a result": ranking(row(None, "mse+sgd"), row(None, "l1+sgd")),
    "no combination": ranking(),
    "the longest names": ranking(row(1, f"{64 * 'W'}+{64 * 'W'}"), row(2, "mse+sgd")),
    "equal accuracies": ranking(
        row(1, "mse+sgd", test_accuracies=(1.0, 1.0), test_accuracy_std=0.0)
    ),
}
every_ranking = pytest.mark.parametrize("given", RANKINGS.values(), ids=RANKINGS.keys())
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What a test asks of a page: its elements, tables, and whether every tag is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.table = self.tables.setdefault(dict(attrs)["id"] or "", [])
        if tag == "tr":
            self.table.append([])
        if tag in ("td", "th"):
            self.table[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words += data
        if {"td", "th"} & set(self.open):
            self.table[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def texts_of_svg(path: Path) -> list[str]:
    texts = ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()).strip() for text in texts]


@every_ranking
def test_files(given: Ranking, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = write(given, tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert [path.name for path in paths if path.parent == folder] == TEXTS
    figures = [path for path in paths if path.parent == folder / "figures"]
    assert sorted(folder.rglob("*.*")) == paths
    assert {path.stem for path in figures if path.suffix == ".png"} == {
        path.stem for path in figures if path.suffix == ".svg"
    }
    for path in figures:
        _check_figure(path)
    _check_texts(given, folder)


def _check_figure(path: Path) -> None:
    if path.suffix == ".svg":
        ET.parse(path)
        return
    content = path.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert width > 700
    assert height > 100


def _check_texts(given: Ranking, folder: Path) -> None:
    names = [r.combination for r in given.combinations]
    document = json.loads((folder / "ranking.json").read_text(encoding="utf-8"))
    assert [r["combination"] for r in document["combinations"]] == names
    lines = csv.DictReader(io.StringIO((folder / "ranking.csv").read_text(encoding="utf-8")))
    assert [line["combination"] for line in lines] == names
    table, _, _ = (folder / "ranking.md").read_text(encoding="utf-8").partition("\n\n")
    assert len(table.splitlines()) == 2 + len(names)
    ranked = [f"{r.rank}. {r.combination}" for r in given.combinations if r.rank is not None]
    if ranked:
        texts = texts_of_svg(folder / "figures" / "seeds.svg")
        assert [text for text in texts if "+" in text] == ranked


@every_ranking
def test_the_page_stands_alone(given: Ranking, tmp_path: Path) -> None:
    write(given, tmp_path)
    page = Page(tmp_path / "report.html")
    assert page.all("html")[0]["lang"] == "en"
    assert not {"script", "iframe", "object", "img"} & {tag for tag, _ in page.elements}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href"):
            target = attributes.get(name) or "data:"
            assert target.startswith("data:") or target[1:] in ids, (tag, target)
        assert not any(name.startswith("on") for name in attributes)
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert svg["aria-labelledby"] in ids
    assert len(page.all("caption")) == len(page.all("table"))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert len(text) < 3_000_000


@every_ranking
def test_the_table_says_what_the_file_says(given: Ranking, tmp_path: Path) -> None:
    write(given, tmp_path)
    document = json.loads((tmp_path / "ranking.json").read_text(encoding="utf-8"))
    _, *lines = Page(tmp_path / "report.html").tables["table-ranking"]
    assert len(lines) == len(document["combinations"])
    for line, held in zip(lines, document["combinations"], strict=True):
        rank, name, mean, best, p_best, ranks, lr, batch_size, _ = line
        assert rank == ("-" if held["rank"] is None else str(held["rank"]))
        assert name == held["combination"]
        if held["mean"] is None:
            assert mean == "no result"
            continue
        numbers = mean.removesuffix(" %").split(" ± ")
        expected = [held["mean"]]
        if held["interval_high"] is not None:
            expected.append(held["interval_high"] - held["mean"])
        assert [float(number) for number in numbers] == pytest.approx(
            [100 * value for value in expected], abs=0.0051
        )
        assert best == ("yes" if held["in_best_group"] else "no")
        if held["p_best"] is not None:
            assert float(p_best) == pytest.approx(held["p_best"], abs=0.0051)
            assert {int(end) for end in ranks.split("-")} == {held["rank_low"], held["rank_high"]}
        assert float(lr) == pytest.approx(held["lr"], rel=0.05)
        assert batch_size == str(held["batch_size"])


def test_the_same_ranking_gives_the_same_bytes(tmp_path: Path) -> None:
    given = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"), row(None, "bce+sgd"))
    first = write(given, tmp_path / "first")
    second = write(given, tmp_path / "second")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_files_that_are_there_are_replaced(tmp_path: Path) -> None:
    write(ranking(row(1, "mse+sgd"), row(2, "l1+sgd")), tmp_path)
    mine = tmp_path / "figures" / "mine.png"
    mine.write_bytes(b"a user's own")
    files = write(ranking(row(1, "bce+sgd")), tmp_path)
    assert mine.read_bytes() == b"a user's own"
    assert mine not in files
    assert "mse+sgd" not in (tmp_path / "ranking.md").read_text(encoding="utf-8")
    assert "p-best.png" not in {path.name for path in files}
    assert not (tmp_path / "figures" / "p-best.png").exists()


def test_names_are_escaped(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>&$x$+sgd"
    write(ranking(row(1, name), row(2, "mse+sgd")), tmp_path, Evidence())
    page = Page(tmp_path / "report.html")
    assert page.all("script") == []
    assert page.words.count(name) >= 4
    assert f"1. {name}" in texts_of_svg(tmp_path / "figures" / "seeds.svg")


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    write(ranking(row(1, "mse+sgd")), tmp_path)
    assert "No run has metrics of its epochs" in Page(tmp_path / "report.html").words


def test_the_verdict_stands_first(tmp_path: Path) -> None:
    write(ranking(row(1, "mse+sgd"), row(2, "l1+sgd")), tmp_path)
    words = Page(tmp_path / "report.html").words
    said = "mse+sgd is first; not distinguishable from it at level 0.05: l1+sgd."
    assert words.index(said) < words.index("Ranking")


def test_the_figure_of_seeds_shows_every_seed_mean_and_interval() -> None:
    given = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"))
    picture = seeds(given, palette(given))
    assert picture is not None
    [axes] = picture.figure.axes
    dots, mean, interval = axes.lines[:3]
    assert np.asarray(dots.get_xdata()) == pytest.approx([50.0, 52.0, 54.0])
    assert np.asarray(mean.get_xdata()) == pytest.approx([52.0])
    # t(0.975, 4) s / sqrt(3), with s = 2 points pooled over two combinations of three seeds
    half = 2.7764451052 * 2 / 3**0.5
    assert np.asarray(interval.get_xdata()) == pytest.approx([52 - half, 52 + half])
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1. mse+sgd", "2. l1+sgd"]


def test_the_heat_map_frames_the_best_group() -> None:
    picture = heat_map(SIXTY)
    assert picture is not None
    axes = picture.figure.axes[0]
    framed = {
        (round(p.get_x() + 0.48), round(p.get_y() + 0.47))  # type: ignore[attr-defined]
        for p in axes.patches
    }
    columns = [label.get_text() for label in axes.get_xticklabels()]
    lines = [label.get_text() for label in axes.get_yticklabels()]
    names = {f"{lines[y]}+{columns[x]}" for x, y in framed}
    assert names == {r.combination for r in SIXTY.combinations if r.in_best_group}
    assert 1 <= len(names) < 60


def test_the_forest_shows_the_differences_of_the_file() -> None:
    picture = differences(SIXTY)
    assert picture is not None
    [axes] = picture.figure.axes
    shown = [
        np.asarray(line.get_xdata())[0] for line in axes.lines if line.get_marker() in ("o", "s")
    ]
    assert shown == pytest.approx([100 * (r.difference_to_best or 0) for r in SIXTY.combinations])


def test_colours_differ_and_do_not_depend_on_the_order() -> None:
    names = [f"loss{n}+sgd" for n in range(len(HUES) * len(SHADES))]
    given = colours(names)
    assert len(set(given.values())) == len(names)
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in given.values())
    assert colours(reversed(names)) == given


def test_in_a_crowd_only_the_best_group_stands_out() -> None:
    crowd = palette(SIXTY)
    assert crowd.crowded
    assert len({crowd.marker(name) for name in crowd.standing_out}) == len(crowd.standing_out)
    assert SIXTY.combinations[0].combination in crowd.standing_out
    assert SIXTY.combinations[-1].combination not in crowd.standing_out
    assert not palette(ranking(row(1, "mse+sgd"))).crowded


def _curve(*accuracies: float) -> tuple[Point, ...]:
    return tuple(
        Point(epoch=epoch, seconds=2.0 * epoch, accuracy=accuracy)
        for epoch, accuracy in enumerate(accuracies, start=1)
    )


def test_the_usual_target_is_what_half_of_the_combinations_reach() -> None:
    curves = {"a": [_curve(0.5, 0.8)], "b": [_curve(0.7567, 0.6)], "c": [_curve(0.3)], "d": []}
    assert usual_target(curves) == 0.756  # of b: the median of 0.8, 0.7567 and 0.3
    assert usual_target({"d": []}) is None


def test_the_time_to_target_stands_in_the_file_and_on_the_page(tmp_path: Path) -> None:
    given = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"))
    curves = {"mse+sgd": [_curve(0.5, 0.8)] * 3, "l1+sgd": [_curve(0.2, 0.3)] * 3}
    rows, target = timed(given.combinations, curves, 70)
    write(
        replace(given, combinations=tuple(rows), target=target), tmp_path, Evidence(curves=curves)
    )
    document = json.loads((tmp_path / "ranking.json").read_text(encoding="utf-8"))
    first, second = (held["time_to_target"] for held in document["combinations"])
    assert document["target"] == 0.7
    assert (first["reached"], first["median_epochs"], first["median_seconds"]) == (3, 2, 4.0)
    assert (second["reached"], second["median_epochs"]) == (0, None)
    _, *lines = Page(tmp_path / "report.html").tables["table-target"]
    assert lines == [["mse+sgd", "3 of 3", "2", "4 s"], ["l1+sgd", "0 of 3", "-", "-"]]


def test_evidence_is_drawn(tmp_path: Path) -> None:
    tuned = {"lr_response": ((0.1, 0.5), (0.2, 0.6)), "expected_best": (0.5, 0.6)}
    given = ranking(row(1, "mse+sgd", **tuned), row(2, "l1+adam", **tuned))
    sure = Predictions(
        label=np.array([0, 1], dtype=np.uint8),
        predicted=np.array([0, 0], dtype=np.uint8),
        confidence=np.array([0.9, 0.6], dtype=np.float32),
    )
    names = [r.combination for r in given.combinations]
    evidence = Evidence(
        curves={name: [_curve(0.5, 0.8)] for name in names},
        predictions={name: [sure] for name in names},
    )
    files = {path.stem for path in write(given, tmp_path, evidence)}
    assert {"learning-curves", "lr-response", "budget", "cost", "reliability"} <= files
    assert "older versions stored none" not in Page(tmp_path / "report.html").words
