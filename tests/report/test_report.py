"""The files of a ranking: they are what their names say, and the same each time."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
import warnings
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from cifar_exp.comparison import Ranking
from cifar_exp.comparison.fairness import Condition
from cifar_exp.comparison.row import StudyResult, TrialResult
from cifar_exp.comparison.statistics.anova import Source
from cifar_exp.comparison.statistics.survival import Point, TimeToTarget
from cifar_exp.comparison.time_to_target import timed, usual_target
from cifar_exp.components.metrics.predictions import Predictions
from cifar_exp.report import Evidence, write
from cifar_exp.report.figures.colours import HUES, SHADES, colours, palette
from cifar_exp.report.figures.confusion import confusion_matrix
from cifar_exp.report.figures.order import best_shares, differences, heat_map, seeds
from cifar_exp.report.figures.picture import Picture
from cifar_exp.report.figures.training import learning_curves, reliability_diagrams
from cifar_exp.report.figures.tuning import budget, cost, lr_response
from tests.rankings import ranking, row

TEXTS = [
    *("ranking.csv", "ranking.json", "ranking.md", "ranking.tex"),
    *("report.html", "seeds.csv", "trials.csv"),
]
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
HALF = 4.3026527297 * 2 / 3**0.5
"""Of the interval of a row, in points: t(0.975, 2) s / sqrt(3), s = 2 points of its own."""
MARGIN = 2.7764451052 * 2 * (2 / 3) ** 0.5
"""Of the difference of two alike rows: t(0.975, 4) s sqrt(2 / 3), as Tukey's test of two is t's."""
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


def drawn(picture: Picture | None) -> list[Axes]:
    assert picture is not None
    return picture.figure.axes


def points(line: Line2D) -> list[tuple[float, float]]:
    across, up = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
    return list(zip(across.tolist(), up.tolist(), strict=True))


def texts_of_svg(path: Path) -> list[str]:
    texts = ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()).strip() for text in texts]


@dataclass(frozen=True)
class Written:
    """A ranking, and the files that it was written to."""

    ranking: Ranking
    folder: Path
    paths: list[Path]


@pytest.fixture(scope="module", params=list(RANKINGS.values()), ids=list(RANKINGS))
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Each of the rankings, written once for all tests."""
    folder = tmp_path_factory.mktemp("written") / "new" / "folder"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Written(request.param, folder, write(request.param, folder))


def test_files(written: Written) -> None:
    folder, paths = written.folder, written.paths
    assert [path.name for path in paths if path.parent == folder] == TEXTS
    figures = [path for path in paths if path.parent == folder / "figures"]
    assert sorted(folder.rglob("*.*")) == paths
    assert {path.stem for path in figures if path.suffix == ".png"} == {
        path.stem for path in figures if path.suffix == ".svg"
    }
    for path in figures:
        assert path.with_suffix(".pdf") in figures
        _check_figure(path)
    _check_texts(written.ranking, folder)


def _check_figure(path: Path) -> None:
    if path.suffix == ".svg":
        ET.parse(path)
        return
    if path.suffix == ".pdf":
        assert path.read_bytes().startswith(b"%PDF")
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


def test_the_page_stands_alone(written: Written) -> None:
    page = Page(written.folder / "report.html")
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
    text = (written.folder / "report.html").read_text(encoding="utf-8")
    assert "@import" not in text
    assert len(text) < 3_000_000


def test_the_table_says_what_the_file_says(written: Written) -> None:
    document = json.loads((written.folder / "ranking.json").read_text(encoding="utf-8"))
    _, *lines = Page(written.folder / "report.html").tables["table-ranking"]
    assert len(lines) == len(document["combinations"])
    for line, held in zip(lines, document["combinations"], strict=True):
        rank, name, mean, best, p_best, ranks, lr, batch_size, time = line
        assert time == "42 s"
        assert rank == ("-" if held["rank"] is None else str(held["rank"]))
        assert name == held["combination"]
        if held["mean"] is None:
            assert mean == "no result"
            continue
        numbers = re.split(r" ± | \(| to ", mean.removesuffix(" %").removesuffix(")"))
        expected = [held["mean"]]
        if "±" in mean:
            expected.append(held["interval_high"] - held["mean"])
        elif held["interval_high"] is not None:
            expected += [held["interval_low"], held["interval_high"]]
        assert [float(number) for number in numbers] == pytest.approx(
            [100 * value for value in expected], abs=0.0051
        )
        assert best == {True: "yes", False: "no", None: "-"}[held["may_be_best"]]
        if held["p_best"] is not None:
            assert float(p_best) == pytest.approx(held["p_best"], abs=0.0051)
            assert {int(end) for end in ranks.split("-")} == {held["rank_low"], held["rank_high"]}
        assert float(lr) == pytest.approx(held["lr"], rel=0.05)
        assert batch_size == str(held["batch_size"])


@pytest.mark.usefixtures("no_pictures")
def test_every_cell_of_the_tables(tmp_path: Path) -> None:
    first = row(
        1,
        "mse+sgd",
        val_accuracy=0.81,
        val_accuracy_confirmed=0.7925,
        winners_curse=0.0175,
        diverged=2,
        failed=1,
        lr_edge="low",
        accuracy_lost_lr_third=0.013,
        diverged_lr_times_3=True,
        time_to_target=TimeToTarget(
            trainings=3, reached=2, median_epochs=7.0, median_seconds=120.0
        ),
    )
    second = row(
        2,
        "l1+sgd",
        seeds_failed=2,
        val_accuracy=0.7,
        val_accuracy_confirmed=0.69,
        winners_curse=0.01,
    )
    loss = Source(
        source="loss",
        sum_of_squares=0.2,
        dof=2,
        mean_square=0.1,
        f=12.346,
        p=0.00123,
        omega_squared=0.625,
        error="loss:optimizer",
    )
    optimizer = replace(loss, source="optimizer", p=0.2, omega_squared=0.1, at_most=0.406)
    interaction = Source(
        source="loss:optimizer",
        sum_of_squares=0.2,
        dof=4,
        mean_square=0.05,
        omega_squared=0.043,
        with_luck=True,
    )
    residual = Source(source="residual", sum_of_squares=0.7, dof=7, mean_square=0.1)
    given = replace(
        ranking(first, second, row(None, "bce+sgd")),
        alpha=0.01,
        rope=2.0,
        target=0.756,
        two_way=(loss, optimizer, interaction, residual),
        fairness=(
            Condition(name="epochs", value="5"),
            Condition(name="device", value="cpu", different={"l1+sgd": "cuda", "bce+sgd": "mps"}),
        ),
        definition={"dataset": "digits", "model": "seed_cnn", "epochs": "5"},
    )
    write(given, tmp_path)
    page = Page(tmp_path / "report.html")
    ranked = page.tables.pop("table-ranking")
    assert [[line[1], line[3]] for line in ranked] == [
        ["combination", "may be best"],
        ["mse+sgd", "yes"],
        ["l1+sgd", "-"],
        ["bce+sgd", "-"],
    ]
    assert page.tables == {
        "table-target": [
            ["combination", "reached", "epochs", "seconds"],
            ["mse+sgd", "2 of 3", "7", "2 min"],
        ],
        "table-pairs": [
            ["combination", "mse+sgd", "l1+sgd", "bce+sgd"],
            ["mse+sgd", "-", "1.5 of 3", "-"],
            ["l1+sgd", "1.5 of 3", "-", "-"],
            ["bce+sgd", "-", "-", "-"],
        ],
        "table-variance": [
            ["source", "share", "degrees of freedom", "F", "error", "p"],
            ["loss", "62 %", "2", "12.35", "loss:optimizer", "0.0012"],
            ["optimizer", "at most 41 %", "2", "12.35", "loss:optimizer", "0.2"],
            [
                *("loss:optimizer or luck of tuning (not separable)", "4 %", "4"),
                *("-", "-", "-"),
            ],
            ["residual", "-", "7", "-", "-", "-"],
        ],
        "table-tuning": [
            [
                *("combination", "best trial", "confirmed", "gap", "diverged"),
                *("lr at edge", "lr / 3 loses", "lr x 3 loses"),
            ],
            ["mse+sgd", "81.00", "79.25", "+1.75", "2 of 6", "low", "1.3", "diverged"],
            ["l1+sgd", "70.00", "69.00 (3 of 5 seeds)", "+1.00", "0 of 6", "-", "-", "-"],
        ],
        "table-fairness": [
            ["condition", "value", "the same for all"],
            ["epochs", "5", "yes"],
            ["device", "cpu", "no: cuda for l1+sgd, mps for bce+sgd"],
        ],
        "table-made": [
            ["parameter", "value"],
            ["dataset", "digits"],
            ["model", "seed_cnn"],
            ["epochs", "5"],
            ["yardstick", "test_accuracy"],
            ["alpha", "0.01"],
            ["rope", "2"],
        ],
    }
    assert "To 75.6 % validation accuracy: how many" in page.words
    assert "By mean test accuracy over the confirmations (larger is better)" in page.words
    # Three confirmations each that count, and two that failed.
    counted = "3 combinations of loss and optimizer, 18 trials, 8 confirmations."
    assert f"digits, seed_cnn, 5 epochs, {counted}" in page.words
    swatches = [span["style"] for span in page.all("span")]
    of_rows = [f"background:{HUES[place]}" for place in (2, 1, 0)]  # by their names' order
    assert swatches == [*of_rows, of_rows[0], *of_rows[:2]]
    assert [line.get("class") for line in page.all("tr")].count("best") == 3


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
    words = Page(tmp_path / "report.html").words
    assert "No run has metrics of its epochs" in words
    assert "No run has stored predictions" in words
    assert "so the variance cannot be split" in words
    assert "1 combination of loss and optimizer, 6 trials, 3 confirmations." in words


def test_the_verdict_stands_first(tmp_path: Path) -> None:
    write(ranking(row(1, "mse+sgd"), row(2, "l1+sgd")), tmp_path)
    words = Page(tmp_path / "report.html").words
    said = "2 of 2 may be the best, with 95 % confidence: mse+sgd, l1+sgd."
    assert words.index(said) < words.index("Ranking")
    mean = f"The first has a mean test accuracy of 52.00 ± {HALF:.2f} % over 3 seeds."
    step = (
        "To do next: nothing; the means of those that may be the best differ by at most 0.50 points"
    )
    assert f"{said} {mean} {step}, so choose by cost. With 3 seeds for some combinations, " in words


@pytest.mark.usefixtures("no_pictures")
def test_studies_have_a_table_and_their_learning_rates(tmp_path: Path) -> None:
    study = StudyResult(
        number=1, lr=0.03, batch_size=64, settings={}, val_accuracy=0.5, test_accuracy=None
    )
    studies = (study, replace(study, number=2, lr=0.0125, test_accuracy=0.6))
    curse = {"val_accuracy": 0.5, "val_accuracy_confirmed": 0.45, "winners_curse": 0.02}
    first = row(1, "mse+sgd", studies=2, study=2, study_results=studies, **curse)
    given = replace(ranking(first, row(2, "l1+sgd")), replicates="studies")
    days = (date(2026, 11, 27), date(2026, 11, 28))
    fairness = (
        Condition(name="device", value="cuda", different={"l1+sgd": "cpu"}),
        Condition(name="processor", value="Xeon, H100"),
    )
    write(replace(given, fairness=fairness), tmp_path, Evidence(trained=days))
    page = Page(tmp_path / "report.html")
    assert page.tables["table-studies"][1:] == [
        ["mse+sgd", "1", "0.03", "64", "50.00", "-"],
        ["mse+sgd", "2", "0.013", "64", "50.00", "60.00"],
    ]
    assert page.tables["table-tuning"][1][1:4] == ["47.00", "45.00", "+2.00"]  # means
    assert page.tables["table-ranking"][1][6] == "0.013 (0.013-0.03)"
    assert (
        "Trained: 2026-11-27 to 2026-11-28 (UTC), device cuda (not all, see Fairness), processor "
        "Xeon, H100."
    ) in page.words
    assert "over 3 studies." in page.words


def test_the_figure_of_seeds_shows_every_seed_mean_and_interval() -> None:
    given = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"))
    [axes] = drawn(seeds(given, palette(given)))
    dots, mean, interval = axes.lines[:3]
    assert np.asarray(dots.get_xdata()) == pytest.approx([50.0, 52.0, 54.0])
    assert np.asarray(mean.get_xdata()) == pytest.approx([52.0])
    assert np.asarray(interval.get_xdata()) == pytest.approx([52 - HALF, 52 + HALF])
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1. mse+sgd", "2. l1+sgd"]


def test_the_heat_map_shows_every_mean_in_its_place() -> None:
    low = row(2, "l1+sgd")
    high = row(1, "mse+adam", test_accuracies=(0.7, 0.72, 0.74), test_accuracy_mean=0.72)
    axes, colour_bar = drawn(heat_map(ranking(high, low)))
    [image] = axes.images
    shown = np.ma.MaskedArray(image.get_array()).tolist()  # losses x optimizers, by name
    assert shown == [[None, pytest.approx(52)], [pytest.approx(72), None]]
    assert {text.get_text(): text.get_position() for text in axes.texts} == {
        f"72.00\n± {HALF:.2f}": (0, 1),
        f"52.00\n± {HALF:.2f}": (1, 0),
    }
    assert colour_bar.get_ylabel() == "test accuracy in %"
    # Lighter is better, and dark letters stand on what is light.
    assert image.get_cmap().name == "cividis"
    letters = {text.get_text()[:2]: text.get_color() for text in axes.texts}
    assert letters == {"72": "k", "52": "w"}
    errors = replace(ranking(high, low), yardstick="test_nll", smaller_is_better=True)
    axes, _ = drawn(heat_map(errors))
    assert axes.images[0].get_cmap().name == "cividis_r"
    letters = {text.get_text()[:4]: text.get_color() for text in axes.texts}
    assert letters == {"0.72": "w", "0.52": "k"}


def test_the_heat_map_frames_what_may_be_the_best() -> None:
    axes = drawn(heat_map(SIXTY))[0]
    framed = {
        (round(p.get_x() + 0.48), round(p.get_y() + 0.47))  # type: ignore[attr-defined]
        for p in axes.patches
    }
    columns = [label.get_text() for label in axes.get_xticklabels()]
    lines = [label.get_text() for label in axes.get_yticklabels()]
    names = {f"{lines[y]}+{columns[x]}" for x, y in framed}
    assert names == {r.combination for r in SIXTY.combinations if r.may_be_best}
    assert 1 <= len(names) < 60


def test_axes_end_where_the_quantity_ends() -> None:
    sure = {"test_accuracies": (0.99, 1.0, 1.0), "test_accuracy_mean": 0.9967}
    tuned_row = {"lr_response": ((0.1, 0.97), (0.2, 1.0)), "expected_best": (0.97, 1.0)}
    given = ranking(
        row(1, "mse+sgd", **sure, **tuned_row),
        row(2, "l1+sgd", test_accuracies=(0.0, 0.9, 0.1), test_accuracy_mean=1 / 3, **tuned_row),
    )
    hues = palette(given)
    curves = {"mse+sgd": [_curve(0.5, 1.0)]}
    [of_seeds], [of_differences] = drawn(seeds(given, hues)), drawn(differences(given))
    assert of_seeds.get_xlim() == (0, 100)
    assert of_differences.get_xlim() == (-100, 100)
    for picture in (
        cost(given, hues),
        budget(given, hues),
        lr_response(given, hues),
        learning_curves(given, curves, hues),
    ):
        assert drawn(picture)[0].get_ylim()[1] == 100


def test_an_interval_that_was_cut_is_written_in_the_heat_map() -> None:
    wide = row(1, "mse+sgd", test_accuracies=(0.1, 0.2, 0.9), test_accuracy_mean=0.4)
    axes = drawn(heat_map(ranking(wide)))[0]
    assert [text.get_text() for text in axes.texts] == ["40.00\n0.00 to 100.00"]


def test_the_share_of_the_test_images_in_a_difference_is_told() -> None:
    given = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"), row(3, "bce+sgd"))
    right, half = (
        Predictions(
            label=np.zeros(4, dtype=np.uint8),
            predicted=np.array(predicted, dtype=np.uint8),
            confidence=np.full(4, 0.9, dtype=np.float32),
        )
        for predicted in ([0, 0, 0, 0], [0, 0, 1, 1])
    )
    known = {"mse+sgd": [right, right], "l1+sgd": [half, half], "bce+sgd": [right, half]}
    picture = differences(given, known)
    assert picture is not None
    # Differences 0, 0, 1, 1: a third over 4; of half of that size, a quarter.
    assert picture.caption.endswith(
        "The test set of 4 images is a sample too: it gives a difference in accuracy a standard "
        "error of 14.43 to 28.87 points, which the intervals do not contain."
    )
    unknown = differences(given, {"l1+sgd": [half]})
    assert unknown is not None
    assert "sample too" not in unknown.caption


def test_the_forest_shows_the_differences_of_the_file() -> None:
    [axes] = drawn(differences(SIXTY))
    shown = [
        np.asarray(line.get_xdata())[0] for line in axes.lines if line.get_marker() in ("o", "s")
    ]
    assert shown == pytest.approx([100 * (r.difference_to_best or 0) for r in SIXTY.combinations])


def test_the_forest_shows_intervals_and_the_difference_that_does_not_matter() -> None:
    given = replace(ranking(row(1, "mse+sgd"), row(2, "l1+sgd")), rope=1.5)
    [axes] = drawn(differences(given))
    _, interval, _ = (line for line in axes.lines if line.get_color() == "#0072b2")
    assert points(interval) == [
        pytest.approx((-MARGIN, 1.0), rel=1e-5),
        pytest.approx((MARGIN, 1.0), rel=1e-5),
    ]
    [band] = axes.patches
    assert isinstance(band, Rectangle)
    assert (band.get_x(), band.get_width()) == (-1.5, 3.0)


def test_the_bars_show_the_probabilities_of_being_best() -> None:
    given = ranking(
        row(1, "mse+sgd", test_accuracies=(0.51, 0.53, 0.55), test_accuracy_mean=0.53),
        row(2, "l1+sgd"),
    )
    [axes] = drawn(best_shares(given, palette(given)))
    widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert widths == [r.p_best for r in given.combinations]
    assert [text.get_text() for text in axes.texts] == [f"{width:.2f}" for width in widths]
    assert widths[0] > 0.55


def test_colours_differ_and_do_not_depend_on_the_order() -> None:
    names = [f"loss{n}+sgd" for n in range(len(HUES) * len(SHADES))]
    given = colours(names)
    assert len(set(given.values())) == len(names)
    assert all(len(colour) == 7 and int(colour[1:], 16) >= 0 for colour in given.values())
    assert colours(reversed(names)) == given


def test_in_a_crowd_only_what_may_be_the_best_stands_out() -> None:
    crowd = palette(SIXTY)
    assert crowd.crowded
    assert len({crowd.marker(name) for name in crowd.standing_out}) == len(crowd.standing_out)
    assert SIXTY.combinations[0].combination in crowd.standing_out
    assert SIXTY.combinations[-1].combination not in crowd.standing_out
    worst = row(7, "l1+sgd", test_accuracies=(0.1, 0.12, 0.14), test_accuracy_mean=0.12)
    seven = ranking(*(row(n, f"loss_{n}+sgd") for n in range(1, 7)), worst)
    assert not palette(seven).crowded  # there are as many markers


def _curve(*accuracies: float) -> tuple[Point, ...]:
    return tuple(
        Point(epoch=epoch, seconds=2.0 * epoch, accuracy=accuracy)
        for epoch, accuracy in enumerate(accuracies, start=1)
    )


def test_the_usual_target_is_what_half_of_the_combinations_reach() -> None:
    curves = {"a": [_curve(0.5, 0.8)], "b": [_curve(0.7567, 0.6)], "c": [_curve(0.3)], "d": []}
    assert usual_target(curves) == 0.756  # of b: the median of 0.8, 0.7567 and 0.3
    assert usual_target({**curves, "e": [_curve(0.9)]}) == 0.756  # the lower of b's and a's
    assert usual_target({"a": [_curve(0.623), _curve(0.9)]}) == 0.623  # half of its seeds
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


TUNED = {"lr_response": ((0.1, 0.5), (0.2, 0.6)), "expected_best": (0.5, 0.6)}
MEASURED = ranking(
    row(1, "mse+sgd", **TUNED, metric_means={"test_ece": 0.12345}), row(2, "l1+adam", **TUNED)
)
SURE = Predictions(
    label=np.array([0, 1], dtype=np.uint8),
    predicted=np.array([0, 0], dtype=np.uint8),
    confidence=np.array([0.9, 0.6], dtype=np.float32),
)
EVIDENCE = Evidence(
    curves={name: [_curve(0.5, 0.8), _curve(0.1)] for name in ("mse+sgd", "l1+adam")},
    predictions={name: [SURE] for name in ("mse+sgd", "l1+adam")},
)


def test_the_learning_curves_show_means_ranges_and_the_target() -> None:
    given = replace(MEASURED, target=0.7)
    [axes] = drawn(learning_curves(given, EVIDENCE.curves, palette(given)))
    mean, _, target = axes.lines
    assert points(mean) == [pytest.approx((1, 30)), pytest.approx((2, 80))]  # one ended early
    assert list(np.asarray(target.get_ydata())) == [70, 70]
    low, high = axes.collections[0].get_datalim(axes.transData).intervaly
    assert (low, high) == pytest.approx((10, 80))


def test_the_reliability_diagrams_show_accuracy_over_confidence() -> None:
    first, second = drawn(reliability_diagrams(MEASURED, EVIDENCE, palette(MEASURED)))[:2]
    _, seen, many = first.lines
    assert points(seen) == [pytest.approx((60, 0)), pytest.approx((90, 100))]
    assert seen.get_alpha() == 0.3
    assert np.isnan(np.asarray(many.get_ydata(), float)).all()  # one image each is few
    shares = [bar.get_height() for bar in first.patches if isinstance(bar, Rectangle)]
    # Of 15 bins, 0.6 is the upper edge of the ninth, and 0.9 in the fourteenth.
    assert {place: share for place, share in enumerate(shares, start=1) if share} == {
        9: 50,
        14: 50,
    }
    assert (first.get_title(), second.get_title()) == ("mse+sgd\nECE 0.123", "l1+adam")


def test_bins_with_enough_images_are_not_faint() -> None:
    many = Predictions(
        label=np.repeat(SURE.label, (30, 29)),
        predicted=np.repeat(SURE.predicted, (30, 29)),
        confidence=np.repeat(SURE.confidence, (30, 29)),
    )
    found = Evidence(predictions={"mse+sgd": [many]})
    _, seen, clear = drawn(reliability_diagrams(MEASURED, found, palette(MEASURED)))[0].lines
    assert len(points(seen)) == 2
    assert [p for p in points(clear) if p[0] == p[0]] == [pytest.approx((90, 100))]


def test_the_confusion_matrix_of_the_first() -> None:
    """Of class 0 one of one is right; of class 1, one of three, the others are called 0 and 2."""
    given = Predictions(
        label=np.array([0, 1, 1], dtype=np.uint8),
        predicted=np.array([0, 0, 1], dtype=np.uint8),
        confidence=np.full(3, 0.9, dtype=np.float32),
    )
    other = replace(given, label=np.array([1], np.uint8), predicted=np.array([2], np.uint8))
    axes, _ = drawn(confusion_matrix(MEASURED, {"mse+sgd": [given, other], "l1+adam": [SURE]}))
    [image] = axes.images
    third = pytest.approx(100 / 3)
    assert np.asarray(image.get_array()).tolist() == [[100, 0, 0], [third] * 3, [0, 0, 0]]
    assert [text.get_text() for text in axes.texts] == ["100", "33", "33", "33"]
    assert confusion_matrix(MEASURED, {"l1+adam": [SURE]}) is None


def test_a_diverged_trial_saves_no_time() -> None:
    """Two complete trials of 10 and 30 s, and a diverged one of 1 s, which counts 20 s."""
    trial = TrialResult(
        number=0,
        state="COMPLETE",
        diverged=False,
        lr=0.1,
        batch_size=64,
        val_accuracy=0.5,
        seconds=10,
    )
    trials = (
        trial,
        replace(trial, seconds=30),
        replace(trial, state="FAIL", diverged=True, seconds=1),
        replace(trial, state="PRUNED", seconds=2),
    )
    given = ranking(row(1, "mse+sgd", trial_results=trials, seconds=43))
    [axes] = drawn(cost(given, palette(given)))
    assert points(axes.lines[0]) == [pytest.approx((62, 52))]


def test_the_reliability_after_scaling_is_dotted() -> None:
    scaled = replace(SURE, confidence_scaled=np.array([0.7, 0.5], dtype=np.float32))
    means = {"test_ece": 0.2, "test_ece_scaled": 0.1}
    given = ranking(row(1, "mse+sgd", metric_means=means), row(2, "l1+adam"))
    evidence = Evidence(predictions={"mse+sgd": [scaled, scaled], "l1+adam": [scaled, SURE]})
    first, second = drawn(reliability_diagrams(given, evidence, palette(given)))[:2]
    *_, dotted = first.lines
    assert points(dotted) == [pytest.approx((50, 0)), pytest.approx((70, 100))]
    assert dotted.get_linestyle() == ":"
    assert first.get_title() == "mse+sgd\nECE 0.200 → 0.100"
    assert len(second.lines) == 3  # one confirmation is of an older version


def test_the_figures_of_tuning_show_rates_trials_and_cost() -> None:
    colours = palette(MEASURED)
    adam, sgd = drawn(lr_response(MEASURED, colours))
    assert (adam.get_title(), sgd.get_title()) == ("adam", "sgd")
    assert points(sgd.lines[0]) == [pytest.approx((0.1, 50)), pytest.approx((0.2, 60))]
    [axes] = drawn(budget(MEASURED, colours))
    assert points(axes.lines[0]) == [pytest.approx((1, 50)), pytest.approx((2, 60))]
    [axes] = drawn(cost(MEASURED, colours))
    assert points(axes.lines[0]) == [pytest.approx((41.6, 52))]


@pytest.mark.parametrize(
    ("yardstick", "better"), [("test_accuracy", "Higher"), ("test_nll", "Low")]
)
def test_the_figure_of_cost_says_what_is_better(yardstick: str, better: str) -> None:
    smaller = yardstick == "test_nll"
    given = replace(MEASURED, yardstick=yardstick, smaller_is_better=smaller)
    picture = cost(given, palette(given))
    assert picture is not None
    assert picture.caption.startswith(better)
    [axes] = picture.figure.axes
    assert points(axes.lines[0]) == [pytest.approx((41.6, 0.52 if smaller else 52))]


def test_evidence_is_drawn(tmp_path: Path) -> None:
    files = {path.stem for path in write(MEASURED, tmp_path, EVIDENCE)}
    assert {"learning-curves", "lr-response", "budget", "cost"} <= files
    assert {"reliability", "confusion"} <= files
    assert "older versions stored none" not in Page(tmp_path / "report.html").words
